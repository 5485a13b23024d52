"""Statements that go straight to the driver are read, and fail, as SQLAlchemy's own do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import (
    IntegrityError,
    MultipleResultsFound,
    NoResultFound,
    OperationalError,
)

from leaderless.store import engine
from leaderless.store.bare import BareConnection, Kept, Rows


@pytest.fixture(params=[True, False], ids=["bare", "whole"])
def connection(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Return a connection with a table of three rows, bare or SQLAlchemy's own."""
    writer = engine.writer_engine(tmp_path / "library.db")
    with writer.begin() as opened:
        assert isinstance(opened, BareConnection)
        opened.is_bare = request.param
        opened.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL) STRICT")
        opened.exec_driver_sql("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "y"), (3, "z")])
        yield opened
    writer.dispose()


def _select(connection: Connection, least: int) -> Any:
    return connection.exec_driver_sql("SELECT a, b FROM t WHERE a >= ? ORDER BY a", (least,))


def test_rows_are_read_alike(connection: Connection) -> None:
    """All, the first, one by one, by name, or the first column alone."""
    assert _select(connection, 2).all() == [(2, "y"), (3, "z")] == list(_select(connection, 2))
    assert _select(connection, 3).fetchall() == [(3, "z")]
    assert _select(connection, 2).first() == (2, "y")
    assert _select(connection, 3).one() == (3, "z")
    assert (_select(connection, 2).scalar(), _select(connection, 3).scalar_one()) == (2, 3)
    assert (
        _select(connection, 2).scalars().all() == [2, 3] == list(_select(connection, 2).scalars())
    )
    assert _select(connection, 2).scalars().first() == 2
    assert list(_select(connection, 2).keys()) == ["a", "b"]
    assert [dict(row) for row in _select(connection, 3).mappings()] == [{"a": 3, "b": "z"}]
    assert [dict(row) for row in _select(connection, 3).mappings().all()] == [{"a": 3, "b": "z"}]
    assert dict(_select(connection, 3).mappings().one()) == {"a": 3, "b": "z"}
    assert dict(_select(connection, 2).mappings().first()) == {"a": 2, "b": "y"}


def test_nothing_is_read_alike(connection: Connection) -> None:
    """Where there is no row there is None, or an error where one was required."""
    assert _select(connection, 9).all() == []
    assert _select(connection, 9).first() is None
    assert _select(connection, 9).scalar() is None
    assert _select(connection, 9).scalars().first() is None
    assert _select(connection, 9).mappings().first() is None
    with pytest.raises(NoResultFound):
        _select(connection, 9).one()
    with pytest.raises(MultipleResultsFound):
        _select(connection, 1).scalar_one()


def test_changes_are_counted_alike(connection: Connection) -> None:
    """And what an INSERT returns can be read."""
    assert connection.exec_driver_sql("DELETE FROM t WHERE a < 3").rowcount == 2
    found = connection.exec_driver_sql("INSERT INTO t (b) VALUES ('new') RETURNING a")
    assert found.scalar_one() == 4


def test_what_was_read_in_part_can_be_left(connection: Connection) -> None:
    """No statement stays open over it: the table can be dropped."""
    rows = _select(connection, 1)
    assert next(iter(rows)) == (1, "x")
    rows.close()
    connection.exec_driver_sql("DROP TABLE t")


def test_errors_are_alike(connection: Connection) -> None:
    """Their kind is SQLAlchemy's, and SQLite's own error is their cause."""
    with pytest.raises(IntegrityError) as refused:
        connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", (1, "again"))
    assert isinstance(refused.value.orig, sqlite3.IntegrityError)
    with pytest.raises(OperationalError):
        connection.exec_driver_sql("SELECT nothing")


@pytest.mark.parametrize("read", [Rows.all, Rows.first, Rows.one, list])
def test_an_error_on_the_way_is_named_too(tmp_path: Path, read: Any) -> None:
    """A statement can fail at a later row than the first."""
    writer = engine.writer_engine(tmp_path / "library.db")
    later = "WITH n(a) AS (VALUES (1), (-9223372036854775808)) SELECT abs(a) FROM n"
    with writer.begin() as connection:
        rows = connection.exec_driver_sql(later)
        with pytest.raises(OperationalError):
            read(rows)
    writer.dispose()


def test_a_commit_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """What breaks a deferred key is undone, and the next transaction is one like any other."""
    kept = Kept(engine.writer_engine(tmp_path / "library.db"))
    table = "CREATE TABLE t (a INTEGER PRIMARY KEY REFERENCES t (b) DEFERRABLE INITIALLY DEFERRED"
    with kept.begin() as connection:
        connection.exec_driver_sql(f"{table}, b INTEGER UNIQUE) STRICT")
    with pytest.raises(IntegrityError), kept.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 2)")
    with kept.begin() as connection:
        assert connection.exec_driver_sql("SELECT * FROM t").all() == []
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 1)")
    with pytest.raises(OperationalError), kept.begin() as connection:
        connection.exec_driver_sql("SELECT nothing")
    with kept.begin() as connection:
        assert connection.exec_driver_sql("SELECT * FROM t").all() == [(1, 1)]
    kept.dispose()


def test_who_listens_hears_every_statement(connection: Connection) -> None:
    """Before it is executed, and after."""
    heard: list[str] = []
    event.listen(connection, "after_cursor_execute", lambda *about: heard.append(about[2]))
    connection.exec_driver_sql("SELECT 1")
    event.listen(connection, "before_cursor_execute", lambda *about: heard.append(about[2]))
    connection.exec_driver_sql("SELECT 2")
    assert heard == ["SELECT 1", "SELECT 2", "SELECT 2"]


def test_a_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    """The next one on a connection that is kept begins anew."""
    kept = Kept(engine.writer_engine(tmp_path / "library.db"))
    with kept.begin() as opened:
        opened.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT")
        opened.exec_driver_sql(
            "CREATE TABLE u (t INTEGER REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED) STRICT"
        )
    with pytest.raises(IntegrityError), kept.begin() as opened:
        opened.exec_driver_sql("INSERT INTO u VALUES (1)")
    with kept.begin() as opened:
        assert opened.exec_driver_sql("SELECT count(*) FROM u").scalar_one() == 0
    kept.dispose()


@pytest.mark.parametrize(("value", "kind"), [(b"a\0b", "blob"), (b"", "blob"), (None, "null")])
def test_bytes_and_nothing_are_stored_as_they_are(
    connection: Connection, value: bytes | None, kind: str
) -> None:
    """What the driver is told of them changes neither the value nor its type."""
    found = connection.exec_driver_sql("SELECT ?, typeof(?)", (value, value)).one()
    assert tuple(found) == (value, kind)


@pytest.mark.parametrize("value", [b"a\0b", None])
def test_the_driver_need_not_find_out_how_to_take_bytes_and_nothing(
    connection: Connection, value: bytes | None
) -> None:
    """It is told, and what it is told gives back the value itself: no copy of it."""
    adapter = sqlite3.adapters[type(value), sqlite3.PrepareProtocol]
    assert adapter(value) is value
