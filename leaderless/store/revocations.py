"""Devices that were revoked: which of their feeds are closed, and which of their rows are taken.

Read here, and by everybody; how that comes to be known is written by store/closing.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.errors import NotPermittedError
from leaderless.store import meta
from registry.changes import Incarnation, feed_device, feed_incarnation

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.store.state import Copy

NONCE_BYTES: Final = 8
NOTHING: Final = Incarnation(1, bytes(NONCE_BYTES))
"""Of a device of which nothing is held: the least that there is."""
ADMITTED_ANEW: Final = (
    "leaderless pair CODE, with the code that `leaderless pair` shows on a member, admits it anew"
)
ADMITTING_ANEW: Final = (
    "leaderless pair shows a code here, with which `leaderless pair CODE` there admits it anew"
)
"""The same for a member that is asked about it."""
WITHOUT_MEMBERSHIP: Final = "SELECT device FROM revoked WHERE below IS NULL"
"""The devices that are no members now, as a query: who was admitted anew has a generation below which
its feeds are closed."""


class RevokedError(NotPermittedError):
    """A device that is no member any more has nobody to tell what it writes."""

    code = "revoked"


def check_may_share(connection: Connection) -> None:
    """Raise RevokedError where nothing that this device says can ever reach anybody."""
    if meta.get(connection, meta.REVOKED) is not None:
        raise RevokedError(
            "this device was revoked: no edit made here reaches anybody",
            hint=ADMITTED_ANEW,
        )


class Revoked(NamedTuple):
    """What is known here of a device whose feeds are closed, all or those below a generation."""

    device: bytes
    below: int | None
    named: tuple[Incarnation, int] | None
    """The newest of its rows that a closing commit names."""

    @property
    def is_out(self) -> bool:
        """Return whether it is no member now."""
        return self.below is None

    def closes(self, feed: bytes) -> bool:
        """Return whether a feed of this device is closed."""
        return self.below is None or feed_incarnation(feed).generation < self.below

    def takes(self, said: Checkpoint | None) -> bool:
        """Return whether rows are taken that a word of the device covers."""
        if not self.is_out:
            return True
        return (
            said is not None
            and self.named is not None
            and (said.incarnation, said.rev) <= self.named
        )

    def is_settled(self, copy: Copy | None) -> bool:
        """Return whether nothing more of its rows is wanted."""
        held = (NOTHING, 0) if copy is None else (copy.incarnation, copy.watermark)
        return self.is_out and (self.named is None or held >= self.named)


def revoked(connection: Connection) -> dict[bytes, Revoked]:
    """Return the devices some of whose feeds are closed."""
    rows = connection.exec_driver_sql("SELECT device, below, generation, nonce, rev FROM revoked")
    return {
        device: Revoked(
            device,
            below,
            None if rev is None else (Incarnation(generation, nonce), rev),
        )
        for device, below, generation, nonce, rev in rows
    }


def without_membership(connection: Connection) -> frozenset[bytes]:
    """Return the devices that were revoked and are no members now."""
    return frozenset(connection.exec_driver_sql(WITHOUT_MEMBERSHIP).scalars())


def begins_with(connection: Connection, feed: bytes) -> int | None:
    """Return how much of a feed counts of which nothing is known: None, as it is open, or 0."""
    known = revoked(connection).get(feed_device(feed))
    return 0 if known is not None and known.closes(feed) else None


def next_generation(connection: Connection, device: bytes) -> int:
    """Return the generation from which a revoked device may go on; 0 for one that was not revoked."""
    if device not in revoked(connection):
        return 0
    query = "SELECT generation FROM incarnation WHERE device = ?"
    known = [*connection.exec_driver_sql(query, (device,)).scalars()]
    feeds = connection.exec_driver_sql(
        "SELECT feed FROM feed WHERE substr(feed, 1, 16) = ?", (device,)
    )
    known += [feed_incarnation(feed).generation for feed in feeds.scalars()]
    return max(known, default=0) + 1


def left_behind(connection: Connection) -> dict[bytes, int]:
    """Return how many commits of each revoked device are here that do not count."""
    found = connection.exec_driver_sql(
        "SELECT substr(feed, 1, 16), sum(received - counts) FROM feed WHERE received > counts"
        " GROUP BY 1"
    )
    return {device: count for device, count in found}
