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
        found = self._connection.exec_driver_sql(
            "SELECT c.header FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE instr(c.header, ?) > 0 AND (f.counts IS NULL OR c.seq <= f.counts)",
            (feed.feed[:LIFE_BYTES],),
        ).scalars()
        named: set[bytes] = set()
        for packed in found:
            named.update(needed.hash for needed in commits.decode_header(packed).dependencies)
        waiting = self._connection.exec_driver_sql(
            "SELECT seq, hash FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?",
            (feed.key, feed.applied, feed.reach),
        ).all()
        return max((seq for seq, at in waiting if at in named), default=feed.applied)
