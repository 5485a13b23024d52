"""Commits of closed feeds that others wait for, where it was not known how far the feed counts.

Who builds on a commit may come before it. In which branch that stands is told by its hash alone, so
no branch counts for it yet. Once it is the turn of who builds on it, what is not here is asked for,
and what is here counts, whenever it came and whatever it was kept for. What is covered by a fetched
state takes effect all at once: it is the turn of all of it as soon as nothing else is to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import commits
from leaderless.store.closing import count, of_closed
from leaderless.store.feeds import feed_with, feeds
from leaderless.store.fetched import read_staging
from leaderless.store.revocations import revoked
from registry.changes import LIFE_BYTES, feed_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.store.revocations import Revoked
    from registry.changes import Dependency


def lacking(connection: Connection) -> dict[bytes, Dependency]:
    """Return, by their hashes, commits of closed feeds that others wait for and that are not here.

    Such a commit may stand in a branch of which nothing is known yet: how far that counts shows when
    it is here, so until then no feed of the same life is closed.
    """
    found = _awaited(connection, revoked(connection))
    return {needed.hash: needed for needed in found if feed_with(connection, needed) is None}


def lacking_of(connection: Connection, feed: bytes) -> dict[bytes, Dependency]:
    """Return what is `lacking` of the life that a feed is of: what comes of it may lead there."""
    life = feed[:LIFE_BYTES]
    found = lacking(connection)
    return {known: needed for known, needed in found.items() if needed.feed[:LIFE_BYTES] == life}


def count_what_is_here(connection: Connection) -> bool:
    """Let count what others wait for and is here; return whether that is more than before."""
    raised = False
    for needed in list(_awaited(connection, revoked(connection))):
        held = feed_with(connection, needed)
        if held is not None and held.counts is not None and held.counts < needed.seq:
            count(connection, needed)
            raised = True
    return raised


def _awaited(connection: Connection, gone: Mapping[bytes, Revoked]) -> Iterator[Dependency]:
    """Return what is in closed feeds of all that those commits build on whose turn it is."""
    if not gone:
        return
    waiting = connection.exec_driver_sql(
        "SELECT c.header FROM feed f JOIN commit_log c ON c.feed = f.id AND c.seq = f.applied + 1"
        " WHERE f.received > f.applied AND (f.counts IS NULL OR f.counts > f.applied)"
    ).scalars()
    headers = waiting.all()
    if _waits_for_closed_feeds(connection, gone):
        headers = [*headers, *_covered(connection, gone)]
    for packed in headers:
        yield from of_closed(gone, commits.decode_header(packed))


def _waits_for_closed_feeds(connection: Connection, gone: Mapping[bytes, Revoked]) -> bool:
    """Return whether a state is fetched, and nothing but commits of closed feeds is still to come."""
    held = read_staging(connection)
    if held is None or not held.done or held.whole:
        return False
    received = {feed.feed: feed.received for feed in feeds(connection)}
    behind = [feed for feed, seq in held.as_of.items() if received.get(feed, 0) < seq]
    owners = [(feed, gone.get(feed_device(feed))) for feed in behind]
    return all(known is not None and known.closes(feed) for feed, known in owners)


def _covered(connection: Connection, gone: Mapping[bytes, Revoked]) -> Iterator[bytes]:
    """Return the headers that a fetched state covers, of commits that name revoked devices."""
    for device in gone:
        yield from connection.exec_driver_sql(
            "SELECT c.header FROM staged_position p JOIN feed f ON f.feed = p.feed"
            " JOIN commit_log c ON c.feed = f.id AND c.seq > f.applied AND c.seq <= p.as_of"
            " WHERE (f.counts IS NULL OR c.seq <= f.counts) AND instr(c.header, ?) > 0",
            (device,),
        ).scalars()
