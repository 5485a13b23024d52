"""How a feed gets on: its next commits are read many at a time, and taken note of together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import NoResultFound

from leaderless.protocol import commits
from leaderless.store import meta
from leaderless.store.feeds import put_feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.store.feeds import Feed
    from leaderless.store.receiving import Received
    from registry.changes import CommitHeader
    from registry.hlc import Clock

_AHEAD: Final = 100
"""Headers that are read at a time: none of them is large."""


class Ahead:
    """The next commits of a feed, read ahead: good as long as nothing is received.

    The first alone, as it may wait; then more and more at a time.
    """

    def __init__(self, connection: Connection, feed: Feed, fresh: Mapping[bytes, Received]) -> None:
        """Read `feed`; commits in `fresh`, by their hashes, are decoded already."""
        self._connection = connection
        self._key = feed.key
        self._fresh = fresh
        self._rows: list[tuple[int, bytes, bytes]] = []
        self._begin = 0
        self._width = 1

    def group(self, feed: Feed) -> tuple[list[tuple[CommitHeader, bytes]], str | None]:
        """Return header and hash of the feed's next commit and of the other parts of its command.

        Beside it which part is still to come, if one is: of these the first alone is returned then, as
        the rest is not looked at each time again. Where something else follows a part than the next
        one, or the feed forks, no more of them come: those before it are the whole.
        """
        first = self._next(feed.applied, 1)
        header, _ = first[0]
        left, here = header.parts - header.part, feed.received - feed.applied
        if not left:
            return first, None
        if here <= left and feed.forked is None and self._goes_on(feed, header, here):
            return first, f"part {header.part + here} of {header.parts} of its command"
        run = self._next(feed.applied, min(here, left + 1))
        count = 1
        while count < len(run) and is_part(run[count][0], header, count):
            count += 1
        return run[:count], None

    def _goes_on(self, feed: Feed, first: CommitHeader, here: int) -> bool:
        """Return whether the last of so many commits that are here is of the command of the first."""
        packed = self._connection.exec_driver_sql(
            "SELECT header FROM commit_log WHERE feed = ? AND seq = ?", (self._key, feed.received)
        ).scalar_one()
        return is_part(commits.decode_header(packed), first, here - 1)

    def _next(self, after: int, count: int) -> list[tuple[CommitHeader, bytes]]:
        """Return so many commits behind a number; raises NoResultFound if there is none."""
        while self._begin < len(self._rows) and self._rows[self._begin][0] <= after:
            self._begin += 1
        if len(self._rows) - self._begin < count:
            self._rows = self._connection.exec_driver_sql(
                "SELECT seq, header, hash FROM commit_log WHERE feed = ? AND seq > ?"
                " ORDER BY seq LIMIT ?",
                (self._key, after, max(count, self._width)),
            ).all()  # type: ignore[assignment]
            self._begin, self._width = 0, min(4 * self._width, _AHEAD)
        if not self._rows:
            raise NoResultFound("a commit that was received is not in the log")
        found = self._rows[self._begin : self._begin + count]
        return [(self._header(packed, known), known) for _, packed, known in found]

    def _header(self, packed: bytes, commit_hash: bytes) -> CommitHeader:
        fresh = self._fresh.get(commit_hash)
        return commits.decode_header(packed) if fresh is None else fresh.header


def is_part(header: CommitHeader, first: CommitHeader, at: int) -> bool:
    """Return whether a commit is the part of a command that is `at` places behind the first."""
    command = (first.command_id, first.parts, first.part + at)
    return (header.command_id, header.parts, header.part) == command


class Effects:
    """Which commits of a feed have been merged, one after another: written down by `write`."""

    def __init__(self, connection: Connection, feed: Feed, now_ms: int) -> None:
        """Begin at `feed` as it stands."""
        self.feed = feed
        """The feed behind what was taken."""
        self._connection = connection
        self._now_ms = now_ms
        self._taken: list[tuple[int, int, int]] = []
        self._clock: Clock | None = None

    def take(self, header: CommitHeader, commit_hash: bytes) -> None:
        """Note that the next commit has been merged; the clock observes it."""
        self._taken.append((self._now_ms, self.feed.key, header.seq))
        self.feed = self.feed._replace(applied=header.seq, applied_hash=commit_hash)
        clock = self._clock or meta.clock(self._connection)
        self._clock = clock.observe(header.stamp, self._now_ms)

    def write(self) -> None:
        """Make what was noted durable with the rest of the transaction."""
        if self._clock is None:
            return
        self._connection.exec_driver_sql(
            "UPDATE commit_log SET applied_at = coalesce(applied_at, ?), waits_for = NULL"
            " WHERE feed = ? AND seq = ?",
            self._taken,
        )
        put_feed(self._connection, self.feed)
        meta.put_clock(self._connection, self._clock)
        self._taken, self._clock = [], None
