"""Statements that go straight to the driver: what `exec_driver_sql` costs beside SQLite's own work.

SQLAlchemy builds a context, a description of the columns and a result with many ways to be read for
each statement: 34 µs where SQLite itself needs 2, and a replica executes thousands of small ones for
each thousand changes. Here is what is read of results in this project, and nothing more; errors are
SQLAlchemy's, as everywhere. Whoever listens to statements gets the long way.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, NoResultFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import CursorResult, Engine
    from sqlalchemy.engine import RootTransaction


_NOTHING: Final[dict[None, None]] = {}


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


def _nothing() -> None:
    """Tell nobody."""


class BareConnection(Connection):
    """A connection of which `exec_driver_sql` goes straight to the driver.

    Not where `is_bare` is set to False: SQLAlchemy's own tools read results in ways of their own.
    """

    is_bare = True
    mode = "DEFERRED"
    """How a transaction begins."""
    executed: Callable[[], object] = staticmethod(_nothing)
    """Called after each statement."""
    _raw: sqlite3.Connection | None = None
    _raw_of: object = None

    def exec_driver_sql(
        self,
        statement: str,
        parameters: Any = None,  # noqa: ANN401 - as in SQLAlchemy
        execution_options: Mapping[str, Any] | None = None,
    ) -> CursorResult[Any]:
        """Execute a statement, or the same with each of a list of parameters."""
        transaction = self._transaction
        if (
            transaction is None
            or not transaction.is_active
            or not self.is_bare
            or execution_options
            or self._has_events
            or self.engine._has_events  # noqa: SLF001 - as SQLAlchemy's own connection asks it
        ):
            result = super().exec_driver_sql(statement, parameters, execution_options)
            self.executed()
            return result
        return cast("CursorResult[Any]", self._execute_bare(statement, parameters))

    def execute(self, *about: Any, **options: Any) -> CursorResult[Any]:  # noqa: ANN401 - as there
        """Execute what SQLAlchemy, or a tool of its, has made."""
        result = super().execute(*about, **options)
        self.executed()
        return result

    def _begin_impl(self, transaction: RootTransaction) -> None:
        """Begin here and now: the driver would begin late, and deferred.

        A transaction that reads first and then writes could then fail at once, whatever the timeout.
        """
        if self._has_events or self.engine._has_events:  # noqa: SLF001 - as above
            super()._begin_impl(transaction)
        self._execute_bare(f"BEGIN {self.mode}", None)

    def raw(self) -> sqlite3.Connection:
        """Return the driver's own connection."""
        held = self.connection
        if self._raw is None or self._raw_of is not held:
            self._raw = cast("sqlite3.Connection", held.driver_connection)
            self._raw_of = held
        return self._raw

    def _execute_bare(self, statement: str, parameters: Any) -> Rows:  # noqa: ANN401 - as above
        cursor = self.raw().cursor()
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
        self.executed()
        return Rows(cursor, statement)


class Open:
    """A transaction for the length of a block."""

    __slots__ = ("_connection", "_transaction")

    def __init__(self, connection: BareConnection) -> None:
        self._connection = connection

    def __enter__(self) -> Connection:
        """Begin it."""
        try:
            self._transaction = self._connection.begin()
        except BaseException:
            self._leave_nothing_open()
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit, or roll back if an error ends the block."""
        try:
            if kind is None:
                self._transaction.commit()
        except BaseException:
            kind = BaseException
            raise
        finally:
            if kind is not None:
                self._transaction.rollback()
                self._leave_nothing_open()

    def _leave_nothing_open(self) -> None:
        # A COMMIT that fails (a deferred key) leaves SQLite's transaction open.
        raw = self._connection.raw()
        if raw.in_transaction:
            raw.rollback()


class Kept:
    """The one connection of an engine, kept for all of its transactions.

    To take it from the pool and to give it back costs more than a small transaction itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._connection: BareConnection | None = None

    def begin(self) -> Open:
        """Open a transaction for a block; it is rolled back where an error leaves it."""
        if self._connection is None:
            self._connection = cast("BareConnection", self.engine.connect())
        return Open(self._connection)

    def dispose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.engine.dispose()


def go_bare(engine: Engine, mode: str, executed: Callable[[], object] = _nothing) -> None:
    """Have the connections of an engine on SQLite's driver be of this kind.

    Their transactions begin in `mode`; `executed` is called after each statement.
    """

    def connection(of: Engine) -> BareConnection:
        made = BareConnection(of)
        made.mode, made.executed = mode, executed
        return made

    # Of bytes and None the driver asks each time whether they adapt themselves, by looking for
    # attributes that they do not have: half of what it takes to hand over the values of a row. These
    # are the shortest ways of the interpreter to leave each of them as it is.
    sqlite3.register_adapter(bytes, os.fspath)
    sqlite3.register_adapter(type(None), _NOTHING.get)

    engine._connection_cls = connection  # type: ignore[assignment]  # noqa: SLF001 - SQLAlchemy's own hook, not documented


def _fail(error: sqlite3.Error, statement: str) -> NoReturn:
    """Raise what SQLAlchemy makes of an error of the driver."""
    raise DBAPIError.instance(statement, None, error, sqlite3.Error) from error
