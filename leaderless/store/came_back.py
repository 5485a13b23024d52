"""That this device was restored from a backup, or claimed, and goes on, and what it was given back.

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
    claimed: bool = False
    """Whether a person said that this one of two machines is the device: no backup was put back."""


def came_back(connection: Connection) -> CameBack | None:
    """Return what is to be told, None if there is nothing."""
    told = meta.get(connection, meta.CAME_BACK)
    return None if told is None else CameBack(*unpack(told, _MAX_FACT))


def took(transaction: Transaction, source: bytes, rows: int) -> None:
    """All rows of this device have come back from `source`."""
    told = came_back(transaction.conn)
    is_claimed = told is not None and not told.at_ms and told.claimed
    meta.put(transaction.conn, meta.CAME_BACK, pack([0, source, rows, 0, 0, is_claimed]))


def claimed(transaction: Transaction) -> None:
    """Note that what this device takes back now is what another machine has told in its name."""
    meta.put(transaction.conn, meta.CAME_BACK, pack([0, b"", 0, 0, 0, True]))


def went_on(transaction: Transaction, kept: int, left: int) -> None:
    """Note that this device goes on, and what became of rows that it had found since the backup."""
    told = came_back(transaction.conn)
    # What was given back after an earlier restore is told already.
    given = told if told is not None and not told.at_ms else CameBack(0, b"", 0)
    now = CameBack(transaction.now_ms, given.source, given.rows, kept, left, given.claimed)
    meta.put(transaction.conn, meta.CAME_BACK, pack(list(now)))


def seen(transaction: Transaction) -> None:
    """Tell no more of it."""
    meta.drop(transaction.conn, meta.CAME_BACK)
