"""That this device was restored from a backup and goes on, and what it was given back.

Remembered until a person has seen it, or a week is over. What is done to come back is in
store/restoring.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.packing import pack, unpack
from leaderless.store import meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.transaction import Transaction

TOLD_MS: Final = 7 * 24 * 3_600 * 1_000
_MAX_FACT: Final = 128


class CameBack(NamedTuple):
    """When a device went on (ms, 0 if it has not yet), who gave its rows back last, how many."""

    at_ms: int
    source: bytes
    """Empty if nobody had more to give than was here."""
    rows: int
    kept: int = 0
    """Rows that it had found itself since the backup, and that stay."""
    left: int = 0
    """Those that went, as what they were in had been deleted."""


def came_back(connection: Connection) -> CameBack | None:
    """Return what is to be told, None if there is nothing."""
    told = meta.get(connection, meta.CAME_BACK)
    return None if told is None else CameBack(*unpack(told, _MAX_FACT))


def took(transaction: Transaction, source: bytes, rows: int) -> None:
    """All rows of this device have come back from `source`."""
    meta.put(transaction.conn, meta.CAME_BACK, pack([0, source, rows]))


def went_on(transaction: Transaction, kept: int, left: int) -> None:
    """Note that this device goes on, and what became of rows that it had found since the backup."""
    told = came_back(transaction.conn)
    # What was given back after an earlier restore is told already.
    given = (told.source, told.rows) if told is not None and not told.at_ms else (b"", 0)
    meta.put(transaction.conn, meta.CAME_BACK, pack([transaction.now_ms, *given, kept, left]))


def seen(transaction: Transaction) -> None:
    """Tell no more of it."""
    meta.drop(transaction.conn, meta.CAME_BACK)
