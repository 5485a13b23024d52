"""Which commits of closed feeds are named by those that build on them.

How far a closed feed counts is known by number before the commits are here. What stands at these
numbers may be of a branch that nobody means: it takes effect once a commit that is named has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import commits
from leaderless.store.closing import NOT_COUNTED
from registry.changes import LIFE_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.feeds import Feed


class Named:
    """What is named, looked up once a feed: good as long as nothing is received."""

    def __init__(self, connection: Connection) -> None:
        """Look into the log of `connection`."""
        self._connection = connection
        self._ends: dict[int, int] = {}

    def lacks(self, feed: Feed, seq: int) -> str | None:
        """Return why the next commits of a feed, up to a number, wait for who means them, or None.

        What is before a fork counts whichever branch is meant.
        """
        if feed.counts is None or feed.forked is not None:
            return None
        if feed.key not in self._ends:
            self._ends[feed.key] = self._end(feed)
        return NOT_COUNTED if seq > self._ends[feed.key] else None

    def _end(self, feed: Feed) -> int:
        """Return the number of the last commit of a feed that is here and is named."""
        waiting = self._connection.exec_driver_sql(
            "SELECT hash, seq FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?"
            " ORDER BY seq DESC",
            (feed.key, feed.applied, feed.reach),
        ).all()
        # Most often the last one is: it is why the feed counts so far, and was named not long ago.
        for commit, seq in waiting[:1]:
            if commit in self._named_by(commit, 1):
                return int(seq)
        named = self._named_by(feed.feed[:LIFE_BYTES], -1)
        return max((seq for commit, seq in waiting if commit in named), default=feed.applied)

    def _named_by(self, about: bytes, limit: int) -> set[bytes]:
        """Return, by their hashes, what the last commits build on that count and hold some bytes."""
        rows = self._connection.exec_driver_sql(
            "SELECT c.header FROM commit_log c CROSS JOIN feed f ON f.id = c.feed"
            " WHERE instr(c.header, ?) > 0 AND (f.counts IS NULL OR c.seq <= f.counts)"
            " ORDER BY c.rowid DESC LIMIT ?",
            (about, limit),
        )
        return {
            needed.hash
            for packed in rows.scalars()
            for needed in commits.decode_header(packed).dependencies
        }
