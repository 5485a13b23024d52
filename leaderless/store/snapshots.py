"""The last good snapshot of a database: made beside it, proved whole, kept until the next one is.

It is what a damaged database is replaced by (store/repair.py). Made by a reader, so nothing that
writes waits for it. When one is made is decided elsewhere: daemon/snapshots.py.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from leaderless.store import meta
from leaderless.store.disk import DamagedError, DiskFullError, free_bytes, naming, room_bytes
from leaderless.store.engine import StoreError
from registry.changes import Incarnation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_MS: Final = 86_400_000
_STEPS: Final = 100_000
"""Of SQLite's machine, between two times that it asks whether to go on: some milliseconds."""


def snapshot_of(database: Path) -> Path:
    """Return where the snapshot of a database stands."""
    return database.with_name(f"{database.name}.good")


def is_due(database: Path, incarnation: Incarnation, now_ms: int) -> bool:
    """Return whether a new snapshot is wanted.

    That is so after a day, and at once where `incarnation`, in which this device counts now, is not
    that of the last one: who went on from there would count in an incarnation that was used.
    """
    good = snapshot_of(database)
    try:
        made_ms = good.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return True
    if abs(now_ms - made_ms) >= DAY_MS:
        return True
    try:
        return incarnation_in(good) != incarnation
    except sqlite3.Error:
        return True


def incarnation_in(file: Path) -> Incarnation | None:
    """Return in which incarnation the device of a database file counts; raises sqlite3.Error."""
    with closing(reading(file)) as connection:
        row = connection.execute(
            "SELECT generation, nonce FROM incarnation WHERE id ="
            " (SELECT value FROM meta WHERE name = ?)",
            (meta.OWN_EPOCH,),
        ).fetchone()
    return None if row is None else Incarnation(*row)


def take(database: Path, now_ms: int, go_on: Callable[[], bool]) -> bool:
    """Make a snapshot of a database that is open; return whether there is a new one. Blocks.

    `go_on` is asked now and then whether there is time left; else the last one stays. Raises
    DamagedError if the database is not whole, DiskFullError if there is no room.
    """
    good = snapshot_of(database)
    partial = good.with_name(f"{good.name}.partial")
    partial.unlink(missing_ok=True)
    # Nothing that is written to the database meanwhile may lack room for the sake of a copy.
    log = database.with_name(f"{database.name}-wal")
    held = database.stat().st_size + (log.stat().st_size if log.exists() else 0)
    room = 2 * room_bytes(database)
    if free_bytes(database) < held + room:
        raise DiskFullError(
            f"there is no room for a snapshot of {database}",
            hint=f"free as much as it has, and {max(1, room >> 20)} MiB",
        )
    try:
        partial.touch(mode=0o600)
        with naming(database), closing(sqlite3.connect(database)) as connection:
            connection.set_progress_handler(lambda: not go_on(), _STEPS)
            connection.execute("VACUUM INTO ?", (str(partial),))
        fault = fault_of(partial)
        if fault is not None:
            raise DamagedError(f"a copy of {database} is not whole: {fault}")
        os.utime(partial, ns=(now_ms * 1_000_000, now_ms * 1_000_000))
        make_durable(partial)
        partial.replace(good)
        make_durable(good.parent)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def reading(file: Path) -> sqlite3.Connection:
    """Return a connection that leaves a file and what stands beside it as they are."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)


def fault_of(
    file: Path, beat: Callable[[], None] = lambda: None, *, thorough: bool = False
) -> str | None:
    """Return what is wrong with the bytes of a database, or None; `beat` is called meanwhile.

    Raises DiskError where the disk, not the file, is at fault; `thorough` looks into indexes, too.
    """
    try:
        with naming(file), closing(reading(file)) as connection:
            connection.set_progress_handler(beat, _STEPS)
            pragma = "integrity_check" if thorough else "quick_check"
            said = str(connection.execute(f"PRAGMA {pragma}(1)").fetchone()[0])
            # A file that lost all its bytes is a sound database without tables.
            connection.execute("SELECT 1 FROM meta").fetchone()
    except DamagedError as error:
        return str(error.__cause__)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # "no such table"
            raise StoreError(f"{file} cannot be read: {error}") from error
        return str(error)
    return None if said == "ok" else " ".join(said.split())


def make_durable(path: Path) -> None:
    """Have a file's bytes, or a folder's names, survive a loss of power."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
