"""Feeds at rest: how much of each is here, and how far it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol import commits
from leaderless.store import revocations
from registry.changes import LIFE_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.changes import Dependency


class Feed(NamedTuple):
    """How much of a feed is here."""

    key: int
    feed: bytes
    received: int
    received_hash: bytes
    applied: int
    applied_hash: bytes
    told: int
    fault: str | None
    counts: int | None = None
    """Of a feed that is closed: up to here it counts."""
    forked: int | None = None
    """Of a feed with two commits at one position: that position; the feed ends before it."""
    trunk: int | None = None
    """Of a branch: the key of the feed that it begins behind."""

    @property
    def reach(self) -> int:
        """Return how much of it is here that counts: more is shown and handed on to nobody."""
        return self.received if self.counts is None else min(self.received, self.counts)


_FEED = (
    "SELECT id, feed, received, received_hash, applied, applied_hash, told, fault, counts, forked,"
    " trunk FROM feed"
)


def feeds(connection: Connection) -> list[Feed]:
    """Return every feed that is known here."""
    return [Feed(*row) for row in connection.exec_driver_sql(f"{_FEED} ORDER BY feed")]


def feed_of(connection: Connection, feed: bytes) -> Feed:
    """Return a feed, made empty if it was not known."""
    row = connection.exec_driver_sql(f"{_FEED} WHERE feed = ?", (feed,)).first()
    if row is not None:
        return Feed(*row)
    counts = revocations.begins_with(connection, feed)
    key = connection.exec_driver_sql(
        "INSERT INTO feed (feed, received_hash, applied_hash, counts) VALUES (?, ?, ?, ?)"
        " RETURNING id",
        (feed, commits.NO_HASH, commits.NO_HASH, counts),
    ).scalar_one()
    return Feed(key, feed, 0, commits.NO_HASH, 0, commits.NO_HASH, 0, None, counts)


def put_feed(connection: Connection, feed: Feed) -> None:
    """Write back the cursors of a feed."""
    connection.exec_driver_sql(
        "UPDATE feed SET received = ?, received_hash = ?, applied = ?, applied_hash = ?, told = ?,"
        " fault = ? WHERE id = ?",
        (*feed[2:8], feed.key),
    )


def feed_of_or_none(connection: Connection, feed: bytes) -> Feed | None:
    """Return a feed if it is known; for read-only connections."""
    row = connection.exec_driver_sql(f"{_FEED} WHERE feed = ?", (feed,)).first()
    return None if row is None else Feed(*row)


def feed_at(connection: Connection, key: int) -> Feed:
    """Return a feed by its local key."""
    return Feed(*connection.exec_driver_sql(f"{_FEED} WHERE id = ?", (key,)).one())


def standing_in(connection: Connection, feed: Feed, seq: int) -> Feed:
    """Return where a commit of a branch stands: one before its first, in what it begins behind."""
    while feed.trunk is not None:
        trunk = feed_at(connection, feed.trunk)
        if seq > trunk.received:
            break
        feed = trunk
    return feed


def feed_with(connection: Connection, needed: Dependency) -> Feed | None:
    """Return the feed or branch in which the commit of a dependency is here, by its hash."""
    key = connection.exec_driver_sql(
        "SELECT f.id FROM feed f CROSS JOIN commit_log c ON c.feed = f.id AND c.seq = ?"
        " WHERE substr(f.feed, 1, 28) = ? AND c.hash = ?",
        (needed.seq, needed.feed[:LIFE_BYTES], needed.hash),
    ).scalar()
    return None if key is None else feed_at(connection, key)


def branches_of(connection: Connection, feed: Feed) -> list[Feed]:
    """Return the branches that begin behind a feed."""
    rows = connection.exec_driver_sql(f"{_FEED} WHERE trunk = ? ORDER BY feed", (feed.key,))
    return [Feed(*row) for row in rows]


def asked_for(connection: Connection, feed: Feed) -> int | None:
    """Return up to where a feed is told of, fetched and kept: as far as it counts; None: all of it.

    Of a branch the first commit is in any case, once any branch at its place counts: all have to know
    of the fork, as they call positions behind it by the names of branches. Where none does, nobody
    names anything behind it: who knows of the fork, and who does not, are told the same.
    """
    if feed.trunk is None or feed.counts is None:
        return feed.counts
    trunk = feed_at(connection, feed.trunk)
    furthest = max(item.counts or 0 for item in branches_of(connection, trunk))
    if trunk.reach < trunk.received or furthest <= trunk.received:
        return 0
    return max(feed.counts, trunk.received + 1)


def shown(feed: Feed, end: int | None) -> int:
    """Return how much of a feed peers are told of and sent, where `end` is what is `asked_for`."""
    return feed.received if end is None else min(feed.received, end)


def longest(connection: Connection, feed: bytes) -> int:
    """Return how much is here of a feed or of any branch of it: one not known yet begins there."""
    return int(
        connection.exec_driver_sql(
            "SELECT coalesce(max(received), 0) FROM feed WHERE substr(feed, 1, 28) = ?",
            (feed[:LIFE_BYTES],),
        ).scalar_one()
    )


def forked(connection: Connection) -> list[Feed]:
    """Return the feeds that have branches."""
    rows = connection.exec_driver_sql(f"{_FEED} WHERE forked IS NOT NULL ORDER BY feed")
    return [Feed(*row) for row in rows]
