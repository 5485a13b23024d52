"""What this device has signed of its own rows, in its current incarnation: at which revs, and what.

A backup that was put back does not know what was signed after it was made. Whoever holds such a word
can show it, though the device has gone on counting since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint

_DIGEST_BYTES: Final = 16
KEPT: Final = 20_000
"""So many words are kept: some months of changes now and then, or the indexing of a large disk."""


def add(connection: Connection, said: Checkpoint) -> None:
    """Remember a word of ours."""
    connection.exec_driver_sql(
        "INSERT OR REPLACE INTO own_word (rev, digest) VALUES (?, ?)", (said.rev, _digest(said))
    )


def has_forgotten(connection: Connection, said: Checkpoint) -> bool:
    """Return whether a word of our incarnation, up to our rev, is of a life that went on elsewhere.

    Of what is older than the oldest that is kept, it is not known.
    """
    known = connection.exec_driver_sql(
        "SELECT digest FROM own_word WHERE rev = ?", (said.rev,)
    ).scalar()
    if known is not None:
        return bool(known != _digest(said))
    oldest = connection.exec_driver_sql("SELECT min(rev) FROM own_word").scalar()
    return oldest is not None and oldest < said.rev


def prune(connection: Connection, keep: int = KEPT) -> int:
    """Forget all but the newest `keep` words; return how many went."""
    return connection.exec_driver_sql(
        "DELETE FROM own_word WHERE rev <= (SELECT rev FROM own_word ORDER BY rev DESC"
        " LIMIT 1 OFFSET ?)",
        (keep,),
    ).rowcount


def forget(connection: Connection) -> None:
    """Forget all: another incarnation begins, or other rows than these were taken back."""
    connection.exec_driver_sql("DELETE FROM own_word")


def _digest(said: Checkpoint) -> bytes:
    return digest(pack([said.row_count, said.set_hash]))[:_DIGEST_BYTES]
