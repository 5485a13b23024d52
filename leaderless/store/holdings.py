"""What this replica holds at one moment, as the session compares it with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.protocol.messages import FeedPosition, OwnedPosition, Vectors
from leaderless.protocol.vectors import Closed, Holdings, OwnedProof
from leaderless.store import (
    awaited,
    fetched,
    givers,
    log,
    meta,
    restoring,
    revocations,
    shelf,
    state,
)
from leaderless.store.feeds import asked_for, shown
from leaderless.words import doing
from registry.changes import LIFE_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection

_FACTS = (meta.STATE_WANTED, meta.OWN_DEVICE, meta.SHARED_HASH, meta.MEMBERSHIP)


def _of_ourselves(connection: Connection) -> tuple[str, int | None]:
    """Return our life, and the rev that is disputed."""
    said = restoring.disputed(connection)
    return restoring.life(connection), None if said is None else said.rev


def read_holdings(connection: Connection) -> Holdings:
    """Return positions, hashes and what is unproved, in one snapshot."""
    owned: dict[bytes, OwnedPosition] = {}
    proofs: dict[bytes, OwnedProof] = {}
    unproved: dict[bytes, str] = {}
    uncovered: set[bytes] = set()
    short: set[bytes] = set()
    gone = revocations.revoked(connection)
    closed: set[bytes] = set()
    copies = {copy.owner: copy for copy in state.copies(connection)}
    closed.update(owner for owner, known in gone.items() if known.is_settled(copies.get(owner)))
    for copy in copies.values():
        owned[copy.owner] = OwnedPosition(copy.incarnation, copy.watermark)
        proofs[copy.owner] = OwnedProof(copy.row_count, copy.set_hash)
        if copy.fault is not None:
            unproved[copy.owner] = copy.fault
        elif not copy.exact:
            unproved[copy.owner] = _to_come(copy.as_of - copy.watermark)
            short.add(copy.owner)
        elif copy.row_count and not copy.watermark:
            # Its positions compare that life alone, and the rows here are of the one before.
            unproved[copy.owner] = "it began another life, whose rows are still to come"
        elif copy.verified != copy.watermark:
            unproved[copy.owner] = "no checkpoint of its owner covers it yet"
            uncovered.add(copy.owner)
    feeds: dict[bytes, FeedPosition] = {}
    wanted: set[bytes] = set()
    doubted: set[bytes] = set()
    lacking = awaited.lacking(connection) if gone else {}
    lives = frozenset(of.feed[:LIFE_BYTES] for of in lacking.values())
    for feed in log.feeds(connection):
        end = asked_for(connection, feed)
        # Where that is nothing, too: a peer that was told of more has to hear that it is gone.
        told = shown(feed, end)
        feeds[feed.feed] = FeedPosition(told, min(feed.applied, told))
        is_wanted = feed.forked is None and (end is None or feed.received < end)
        (wanted if is_wanted else closed).add(feed.feed)
        # What is not read again cannot be mended by it: branches of it come by their own names.
        if feed.fault is not None and (is_wanted or feed.feed[:LIFE_BYTES] in lives):
            unproved[feed.feed] = feed.fault
            doubted.add(feed.feed)
        elif feed.applied < feed.reach:
            unproved[feed.feed] = _on_the_shelf(feed.reach - feed.applied)
    facts: dict[str, Any] = dict.fromkeys(_FACTS) | meta.known(connection, *_FACTS)
    damaged = facts[meta.STATE_WANTED] is not None
    if damaged:
        unproved[facts[meta.OWN_DEVICE]] = "the records here are damaged"
    if outvoted := givers.is_outvoted(connection):
        unproved[facts[meta.OWN_DEVICE]] = "most others hold other records"
    suspected = meta.suspected_owners(connection)
    return Holdings(
        Vectors(owned, feeds),
        proofs,
        facts[meta.SHARED_HASH],
        facts[meta.MEMBERSHIP],
        unproved,
        Closed(
            frozenset(closed),
            frozenset(wanted),
            {device: known.below for device, known in gone.items()},
            lives,
        ),
        *_of_ourselves(connection),
        frozenset(uncovered),
        shelf.forgotten(connection),
        fetched.read_staging(connection),
        frozenset(doubted),
        damaged,
        frozenset(suspected),
        givers.givers(connection),
        outvoted,
        frozenset(owner for owner, stays in suspected.items() if stays),
        frozenset(short),
    )


def _to_come(number: int) -> str:
    return doing(number, "change", "is still to come", "are still to come")


def _on_the_shelf(number: int) -> str:
    return doing(number, "commit", "waits on the shelf", "wait on the shelf")
