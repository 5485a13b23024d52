"""Statements that go straight to the driver: what `exec_driver_sql` costs beside SQLite's own work.

SQLAlchemy builds a context, a description of the columns and a result with many ways to be read for
each statement: 34 µs where SQLite itself needs 2, and a replica executes thousands of small ones for
each thousand changes. Here is what is read of results in this project, and nothing more; errors are
SQLAlchemy's, as everywhere. Whoever listens to statements gets the long way.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import CursorResult, Engine


class Rows:
    """What a statement found, as tuples in the order of SQLite; read once.

    It closes itself where it was read to its end, or where no more than its first row was asked for.
    """

    __slots__ = ("_cursor", "_statement")

    def __init__(self, cursor: sqlite3.Cursor, statement: str) -> None:
        self._cursor = cursor
        self._statement = statement

    @property
    def rowcount(self) -> int:
        """Return how many rows an INSERT, UPDATE or DELETE has changed."""
        return self._cursor.rowcount

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return [column[0] for column in self._cursor.description]

    def __iter__(self) -> Iterator[Any]:
        """Go through the rows; a row is read from the file when it is asked for."""
        try:
            yield from self._cursor
        except sqlite3.Error as error:
            _fail(error, self._statement)

    def all(self) -> list[Any]:
        """Return every row, or what is left of them."""
        try:
            return self._cursor.fetchall()
        except sqlite3.Error as error:
            _fail(error, self._statement)

    def fetchall(self) -> list[Any]:
        """Return every row, under the driver's own name for it."""
        return self.all()

    def first(self) -> Any:  # noqa: ANN401 - a row, or None
        """Return the first row, None if there is none."""
        try:
            row = self._cursor.fetchone()
        except sqlite3.Error as error:
            _fail(error, self._statement)
        self._cursor.close()
        return row

    def one(self) -> Any:  # noqa: ANN401 - a row
        """Return the one row that there is; raises NoResultFound, MultipleResultsFound."""
        try:
            rows = self._cursor.fetchmany(2)
        except sqlite3.Error as error:
            _fail(error, self._statement)
        self._cursor.close()
        if not rows:
            raise NoResultFound("No row was found when one was required")
        if len(rows) > 1:
            raise MultipleResultsFound("Multiple rows were found when exactly one was required")
        return rows[0]

    def scalar(self) -> Any:  # noqa: ANN401 - a value
        """Return the first column of the first row, None if there is none."""
        row = self.first()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:  # noqa: ANN401 - a value
        """Return the first column of the one row; raises as `one` does."""
        return self.one()[0]

    def scalars(self) -> Scalars:
        """Return the first column alone."""
        return Scalars(self)

    def mappings(self) -> Mappings:
        """Return rows as dictionaries by the names of their columns."""
        return Mappings(self)

    def close(self) -> None:
        """Leave the rest unread."""
        self._cursor.close()


class Scalars:
    """The first column of what a statement found."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        """Go through the values."""
        return (row[0] for row in self._rows)

    def all(self) -> list[Any]:
        """Return every value."""
        return [row[0] for row in self._rows.all()]

    def first(self) -> Any:  # noqa: ANN401 - a value
        """Return the first value, None if there is none."""
        return self._rows.scalar()


class Mappings:
    """What a statement found, by the names of the columns."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Go through the rows."""
        names = self._rows.keys()
        return (dict(zip(names, row, strict=True)) for row in self._rows)

    def all(self) -> list[dict[str, Any]]:
        """Return every row."""
        return list(self)

    def first(self) -> dict[str, Any] | None:
        """Return the first row, None if there is none."""
        names, row = self._rows.keys(), self._rows.first()
        return None if row is None else dict(zip(names, row, strict=True))

    def one(self) -> dict[str, Any]:
        """Return the one row that there is; raises as `Rows.one` does."""
        names = self._rows.keys()
        return dict(zip(names, self._rows.one(), strict=True))


class BareConnection(Connection):
    """A connection of which `exec_driver_sql` goes straight to the driver.

    Not where `is_bare` is set to False: SQLAlchemy's own tools read results in ways of their own.
    """

    is_bare = True

    def exec_driver_sql(
        self,
        statement: str,
        parameters: Any = None,  # noqa: ANN401 - as in SQLAlchemy
        execution_options: Mapping[str, Any] | None = None,
    ) -> CursorResult[Any]:
        """Execute a statement, or the same with each of a list of parameters."""
        transaction = self._transaction
        is_bare = self.is_bare and transaction is not None and transaction.is_active
        if not is_bare or execution_options or self.dispatch.before_cursor_execute:
            return super().exec_driver_sql(statement, parameters, execution_options)
        return cast("CursorResult[Any]", self._execute_bare(statement, parameters))

    def begin_bare(self, mode: str) -> None:
        """Begin a transaction of SQLite; for the handler of SQLAlchemy's own beginning."""
        self._execute_bare(f"BEGIN {mode}", None)

    def _execute_bare(self, statement: str, parameters: Any) -> Rows:  # noqa: ANN401 - as above
        cursor = cast("sqlite3.Connection", self.connection.driver_connection).cursor()
        try:
            if parameters is None:
                cursor.execute(statement)
            elif isinstance(parameters, list):
                cursor.executemany(statement, parameters)
            else:
                cursor.execute(statement, parameters)
        except sqlite3.Error as error:
            cursor.close()
            _fail(error, statement)
        for heard in self.dispatch.after_cursor_execute:
            heard(self, cursor, statement, parameters, None, isinstance(parameters, list))
        return Rows(cursor, statement)


class Kept:
    """The one connection of an engine, kept for all of its transactions.

    To take it from the pool and to give it back costs more than a small transaction itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction; it is rolled back where an error leaves it."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self.engine.connect()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            # A COMMIT that fails (a deferred key) leaves SQLite's transaction open.
            raw = cast("sqlite3.Connection", connection.connection.driver_connection)
            if raw.in_transaction:
                raw.rollback()
            raise

    def dispose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.engine.dispose()


def go_bare(engine: Engine) -> None:
    """Have the connections of an engine on SQLite's driver be of this kind."""
    engine._connection_cls = BareConnection  # noqa: SLF001 - SQLAlchemy's own hook, not documented


def _fail(error: sqlite3.Error, statement: str) -> NoReturn:
    """Raise what SQLAlchemy makes of an error of the driver."""
    raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
