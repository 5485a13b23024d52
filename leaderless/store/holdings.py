"""What this replica holds at one moment, as the session compares it with others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol.messages import FeedPosition, OwnedPosition, Vectors
from leaderless.protocol.vectors import Holdings, OwnedProof
from leaderless.store import log, meta, restoring, state

if TYPE_CHECKING:
    from sqlalchemy import Connection


def read_holdings(connection: Connection) -> Holdings:
    """Return positions, hashes and what is unproved, in one snapshot."""
    owned: dict[bytes, OwnedPosition] = {}
    proofs: dict[bytes, OwnedProof] = {}
    unproved: dict[bytes, str] = {}
    uncovered: set[bytes] = set()
    for copy in state.copies(connection):
        owned[copy.owner] = OwnedPosition(copy.incarnation, copy.watermark)
        proofs[copy.owner] = OwnedProof(copy.row_count, copy.set_hash)
        if copy.fault is not None:
            unproved[copy.owner] = copy.fault
        elif not copy.exact:
            unproved[copy.owner] = f"{copy.as_of - copy.watermark} changes are still to come"
        elif copy.verified != copy.watermark:
            unproved[copy.owner] = "no checkpoint of its owner covers it yet"
            uncovered.add(copy.owner)
    feeds: dict[bytes, FeedPosition] = {}
    closed: list[bytes] = []
    for feed in log.feeds(connection):
        feeds[feed.feed] = FeedPosition(feed.received, feed.applied)
        if feed.fault is not None:
            unproved[feed.feed] = feed.fault
            closed.append(feed.feed)
        elif feed.applied < feed.received:
            unproved[feed.feed] = f"{feed.received - feed.applied} commits wait on the shelf"
    return Holdings(
        Vectors(owned, feeds),
        proofs,
        meta.get(connection, meta.SHARED_HASH),
        meta.get(connection, meta.MEMBERSHIP),
        unproved,
        frozenset(closed),
        restoring.life(connection),
        frozenset(uncovered),
        meta.suspected_owners(connection),
    )
