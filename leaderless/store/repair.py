"""A damaged database replaced by its last good snapshot, before anything opens it.

Looked for after an unclean end (a write-ahead log was left behind) and where SQLite has met damage
(a mark beside the file). The damaged file is set aside, never deleted. A device that goes on from a
snapshot went back in time: it takes from peers what they hold, and counts in a new incarnation then
(store/restoring.py).

::

    library.db.replacement    the snapshot, made ready; from when it stands the replacement is certain
    library.db.corrupt-TIME   the damaged file, with -wal where there was one
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.store import meta
from leaderless.store.disk import DamagedError, from_system, naming
from leaderless.store.snapshots import fault_of, incarnation_in, make_durable, reading, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from leaderless.store.transaction import Transaction

UNKNOWN_GENERATIONS: Final = 16
"""So many incarnations may have begun since the snapshot where the damaged file does not say."""


class Replaced(NamedTuple):
    """What was replaced: when, where the damaged file is, of when the snapshot, what was wrong."""

    at_ms: int
    aside: str
    of_ms: int
    fault: str
    above: int
    """No incarnation up to this generation may be used again; 0 once the device went on."""
    nonce: str


def suspect(database: Path) -> None:
    """Have the next start look at a database thoroughly."""
    with suppress(OSError):
        _mark(database).touch()


def is_suspect(database: Path) -> bool:
    """Return whether the next start looks at a database thoroughly."""
    return _mark(database).exists()


def mend(
    database: Path, now_ms: int, nonce: bytes, beat: Callable[[], None] = lambda: None
) -> Replaced | None:
    """Have a sound database stand at its place; return what was replaced, None if nothing was.

    `nonce` names the incarnation that a device goes on in; `beat` is called again and again while
    the file is looked at. Blocks; nobody else may have the file open. Raises DamagedError if there
    is no snapshot to replace it by, DiskError if the disk fails.
    """
    _finish(database)
    marked = is_suspect(database)
    if not marked and not _was_left_open(database):
        return None
    fault = fault_of(database, beat, thorough=marked)
    if fault is None:
        _mark(database).unlink(missing_ok=True)
        return None
    replaced = _prepare(database, fault, now_ms, nonce)
    _finish(database)
    return replaced


def is_there(database: Path) -> bool:
    """Return whether there is a database, or one that a replacement has ready."""
    return database.exists() or _replacement(database).exists()


def _was_left_open(database: Path) -> bool:
    log = _beside(database, "-wal")
    return (log.exists() and log.stat().st_size > 0) or database.stat().st_size == 0


def _prepare(database: Path, fault: str, now_ms: int, nonce: bytes) -> Replaced:
    """Make the replacement ready."""
    good = snapshot_of(database)
    worse = fault_of(good) if good.exists() else "there is none"
    if worse is not None:
        raise DamagedError(
            f"{database} is damaged ({fault}), and its snapshot cannot take its place: {worse}",
            hint=f"stop here and restore {database.parent} from a backup; without one:"
            f" mv {database.parent} {database.parent}.damaged; leaderless init; leaderless pair",
        )
    when = datetime.fromtimestamp(now_ms / 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    replaced = Replaced(
        now_ms,
        _beside(database, f".corrupt-{when}").name,
        good.stat().st_mtime_ns // 1_000_000,
        fault,
        _highest_generation(database, good),
        nonce.hex(),
    )
    ready = _replacement(database)
    partial = ready.with_name(f"{ready.name}.partial")
    try:
        shutil.copy(good, partial)
        with naming(database), closing(sqlite3.connect(partial)) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
                (meta.REPLACED, json.dumps(replaced)),
            )
        make_durable(partial)
        partial.rename(ready)
        make_durable(ready.parent)
    except OSError as error:
        raise from_system(error, database) from error
    return replaced


def _highest_generation(database: Path, good: Path) -> int:
    held = incarnation_in(good)
    lowest = 0 if held is None else held.generation
    try:
        found = incarnation_in(database)
    except sqlite3.Error:
        found = None
    return lowest + UNKNOWN_GENERATIONS if found is None else max(lowest, found.generation)


def _finish(database: Path) -> None:
    """Put a replacement that is ready in its place; goes on where it was cut off.

    The log goes first: no database may ever stand beside the log of another.
    """
    ready = _replacement(database)
    if not ready.exists():
        return
    with closing(reading(ready)) as connection:
        (told,) = connection.execute(
            "SELECT value FROM meta WHERE name = ?", (meta.REPLACED,)
        ).fetchone()
    aside = database.with_name(Replaced(*json.loads(told)).aside)
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            _beside(database, suffix).rename(_beside(aside, suffix))
    _beside(database, "-shm").unlink(missing_ok=True)
    _mark(database).unlink(missing_ok=True)
    ready.rename(database)
    make_durable(database.parent)


def replacement_in(connection: Connection) -> Replaced | None:
    """Return how the open database came to replace another, as long as that is remembered."""
    told = meta.get(connection, meta.REPLACED)
    return None if told is None else Replaced(*json.loads(told))


def to_leave(connection: Connection) -> Replaced | None:
    """Return how the database was replaced if its device has not gone on from there yet.

    It has to leave the incarnation that it finds itself in, for one above `above`.
    """
    replaced = replacement_in(connection)
    return replaced if replaced is not None and replaced.above else None


def left(transaction: Transaction) -> None:
    """Note that the device has gone on in a new incarnation."""
    replaced = to_leave(transaction.conn)
    if replaced is not None:
        meta.put(transaction.conn, meta.REPLACED, json.dumps(replaced._replace(above=0)))


def acknowledge(transaction: Transaction) -> bool:
    """Forget that the database was replaced: a person has seen it; return whether it was."""
    was = replacement_in(transaction.conn) is not None
    meta.drop(transaction.conn, meta.REPLACED)
    return was


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _mark(database: Path) -> Path:
    return _beside(database, ".suspect")


def _replacement(database: Path) -> Path:
    return _beside(database, ".replacement")
