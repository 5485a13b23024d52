"""Connections to the one file, and its schema versions.

One connection writes and checkpoints (SQLite before 3.51.3 has a race when two do); all others
are read-only. WAL, synchronous=FULL, foreign keys on. A schema upgrade takes a snapshot first and
runs in one transaction; a file that a newer leaderless wrote is refused.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from leaderless.errors import InvalidDataError, LeaderlessError
from leaderless.store.bare import go_bare
from leaderless.store.pulse import STEPS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from leaderless.store.bare import BareConnection
    from leaderless.store.pulse import Pulse

# Waiting for the writer of another process: there should be none.
_BUSY_TIMEOUT_MS = 5_000
_WRITER_CACHE_KIB = 32_768
_READER_CACHE_KIB = 4_096
LOG_PAGES = 3_000
"""Of the write-ahead log (12 MiB) before it is folded into the file: a page that changes often is
written there once in all that time. A batch of rows changes up to 1,500 pages, more than the 1,000 of
the default; more than a few thousand would take a slow disk too long to fold within one commit."""
_PAGE_BYTES = 4_096
_CACHED_STATEMENTS = 512
"""More than there are: to compile one again costs several times what it takes to run."""
_MIGRATIONS = Path(__file__).with_name("migrations")


class StoreError(LeaderlessError):
    """The database cannot be used as it is."""

    code = "store"


class NewerSchemaError(StoreError):
    """A newer leaderless wrote this file."""

    code = "newer_schema"


class ConstraintError(InvalidDataError):
    """What was to be written breaks a rule of the schema: a reference to nothing, a wrong type."""

    code = "constraint"


def writer_engine(path: Path, pulse: Pulse | None = None) -> Engine:
    """Return an engine with the one connection that writes; `pulse` beats as it gets on."""
    # What a large transaction has made of the log is given back, once that begins anew.
    log = f"journal_size_limit = {LOG_PAGES * _PAGE_BYTES}"
    pragmas = ("journal_mode = WAL", "synchronous = FULL", log)
    engine = _engine(path, _WRITER_CACHE_KIB, pragmas)
    if pulse is None:
        go_bare(engine, "IMMEDIATE")
    else:
        go_bare(engine, "IMMEDIATE", pulse.beat)
        _beat_within_statements(engine, pulse)
    return engine


def _beat_within_statements(engine: Engine, pulse: Pulse) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: DBAPIConnection, _: object) -> None:
        cast("sqlite3.Connection", connection).set_progress_handler(pulse.beat, STEPS)


def reader_engine(path: Path) -> Engine:
    """Return an engine with one connection that can only read; each reader thread has its own."""
    engine = _engine(path, _READER_CACHE_KIB, ("query_only = ON",))
    go_bare(engine, "DEFERRED")
    return engine


def _engine(path: Path, cache_kib: int, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        poolclass=StaticPool,
        connect_args={
            "check_same_thread": False,
            "isolation_level": None,
            "cached_statements": _CACHED_STATEMENTS,
        },
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
            f"cache_size = -{cache_kib}",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            f"wal_autocheckpoint = {LOG_PAGES}",
            *pragmas,
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def migrate(engine: Engine, path: Path, migrations: Path = _MIGRATIONS) -> None:
    """Bring the schema to the newest of `migrations`: snapshot first, all steps in one transaction.

    Raises NewerSchemaError and changes nothing if the file is from the future, StoreError if it is
    no database, or if the result breaks a foreign key or SQLite's own check.
    """
    known = revisions(migrations)
    try:
        with engine.begin() as connection:
            current = _current(connection)
    except DatabaseError as error:
        raise StoreError(f"{path} cannot be used: {error.orig}") from error
    if current == known[0]:
        return
    if current is not None and current not in known:
        raise NewerSchemaError(
            f"{path} was written by a newer leaderless (schema {current})",
            hint="install that version, or point --home at another folder",
        )
    from leaderless.store.upgrading import upgrade  # noqa: PLC0415 - heavy, and rarely needed

    if current is not None:
        snapshot(path, path.with_suffix(f".before-{known[0]}"))
    with engine.begin() as connection:
        cast("BareConnection", connection).is_bare = False
        upgrade(connection, migrations)
        check(connection, path)


def revisions(migrations: Path) -> tuple[str, ...]:
    """Return every schema version, the newest first; a step's file has its number in its name."""
    steps = (migrations / "versions").glob("v[0-9]*.py")
    return tuple(sorted((step.stem[1:].partition("_")[0] for step in steps), reverse=True))


def _current(connection: Connection) -> str | None:
    """Return the schema version of a file, None for an empty one."""
    table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
    if connection.exec_driver_sql(table).first() is None:
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM schema_version").scalar()
    return None if found is None else str(found)


def check(connection: Connection, path: Path) -> None:
    """Raise StoreError unless foreign keys and pages are as they should be."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    pages = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if broken or pages != "ok":
        raise StoreError(f"{path} fails its own checks: {broken[:1] or pages}")


def fold(engine: Engine) -> None:
    """Write what stands in the write-ahead log to the file, and empty it, as far as readers let it.

    Outside of every transaction of the engine's connection. Raises sqlite3.Error.
    """
    with engine.connect() as connection:
        raw = cast("BareConnection", connection).raw()
        try:
            raw.execute("PRAGMA busy_timeout = 0").close()  # whoever reads is not waited for
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            raw.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}").close()


def snapshot(path: Path, target: Path) -> None:
    """Write a whole, consistent copy of the database at `path` to `target`, for its owner alone."""
    partial = target.with_suffix(target.suffix + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    connection = sqlite3.connect(path)
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
    finally:
        connection.close()
    partial.replace(target)
