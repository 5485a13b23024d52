"""The log at rest: feeds and commits, received and applied.

A commit is stored in order of its feed (*received*), and takes effect once all that it builds on
has (*applied*). Between the two it is on the shelf (store/shelf.py): durable, with the reason it
waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol import commits, limits
from leaderless.protocol.messages import LogBatch, SignedCommit
from leaderless.store import awaited, branches, meant, meta, shelf
from leaderless.store.advancing import Ahead, Effects
from leaderless.store.feeds import (
    Feed,
    asked_for,
    feed_at,
    feed_of,
    feed_of_or_none,
    feeds,
    forked,
    longest,
    put_feed,
    shown,
)
from leaderless.store.named import Named
from leaderless.store.receiving import Received, receive, receive_all, settle
from leaderless.store.registers import Records
from registry.changes import Dot
from registry.hlc import is_from_future
from registry.merge import highest_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from registry.changes import CommitHeader, SharedChange
    from registry.hlc import Stamp
    from registry.models import Registry

__all__ = [
    "AT_ONCE",
    "Feed",
    "Received",
    "apply_ready",
    "feed_of",
    "feed_of_or_none",
    "feeds",
    "forked",
    "future_authors",
    "longest",
    "merge",
    "put_feed",
    "read_log",
    "receive",
    "receive_all",
    "settle",
    "take_effect",
]

AT_ONCE: Final = limits.MAX_CHANGES
"""Changes whose records are held in memory together: those of one commit, or of many small ones."""


def apply_ready(
    connection: Connection,
    registry: Registry,
    now_ms: int,
    tell: Callable[[int], None] = lambda _: None,
    *,
    fresh: Iterable[Received] = (),
) -> int:
    """Apply every commit that waits for nothing more; return how many there were.

    Clocks observe what is applied; `tell` hears now and then how many commits were applied. Those
    in `fresh` were stored in this transaction, with their content: they are not read back. The
    caller holds one transaction around this and `receive`.
    """
    if meta.get(connection, meta.RENAMED) is not None:
        meta.drop(connection, meta.RENAMED)
        Records(connection, registry, now_ms).show(branches.records(connection), ())
    applying = _Applying(connection, registry, now_ms, tell, fresh)
    progress = True
    while progress:
        progress = False
        for feed in feeds(connection):
            if feed.trunk is not None:
                trunk = feed_at(connection, feed.trunk)
                if trunk.applied < trunk.received:
                    continue  # what it begins behind comes first
            progress = applying.go_on(feed) or progress
        progress = progress or awaited.count_what_is_here(connection)
    applying.save()
    return applying.applied


class _Applying:
    """What one run of `apply_ready` applies: bodies one by one, records saved as they add up."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        now_ms: int,
        tell: Callable[[int], None],
        fresh: Iterable[Received],
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._tell = tell
        self._fresh = {commit.hash: commit for commit in fresh}
        self._records = Records(connection, registry, now_ms)
        self._changes = 0
        self._is_ahead = False
        self._named = Named(connection)
        self._forked = meant.forked_feeds(connection)
        self.applied = 0

    def go_on(self, feed: Feed) -> bool:
        """Apply what a feed has next, up to what waits; return whether that is anything."""
        ahead = Ahead(self._connection, feed, self._fresh)
        effects = Effects(self._connection, feed, self._now_ms)
        while effects.feed.applied < feed.reach:
            # Looked at before any body is: a command of many parts comes bit by bit.
            group, missing = ahead.group(effects.feed)
            if any(header.dependencies for header, _ in group):
                effects.write()  # what is named may be a commit of this very feed
            at = effects.feed
            reason = shelf.waits_for(self._connection, at, group, self._fresh, missing)
            reason = reason or self._named.lacks(at, group[-1][0].seq)
            if reason is not None:
                shelf.put(self._connection, at, reason)
                break
            for header, commit_hash in group:
                self._merge(at, header, commit_hash)
                effects.take(header, commit_hash)
        effects.write()
        return effects.feed.applied > feed.applied

    def _merge(self, feed: Feed, header: CommitHeader, commit_hash: bytes) -> None:
        """Merge the changes of the next commit of a feed into the registers."""
        changes = self._changes_of(feed, header, commit_hash)
        names = meant.names_for(self._connection, feed, header.seq, changes, self._forked)
        if names is not None:
            changes = tuple(map(names.change, changes))
        if self._changes and self._changes + len(changes) > AT_ONCE:
            self.save()
            self._records = Records(self._connection, self._registry, self._now_ms)
            self._changes = 0
        if self._fresh and not self._is_ahead:
            self._load_ahead()
        self._changes += len(changes)
        merge(self._records, feed.feed, header.seq, header.stamp, changes)
        self.applied += 1

    def _load_ahead(self) -> None:
        """Read the records of what was stored just now, as many as are held in memory together."""
        self._is_ahead = True
        room = AT_ONCE - self._changes
        keys: list[tuple[str, bytes]] = []
        for commit in self._fresh.values():
            room -= len(commit.changes)
            if room < 0:
                break
            keys += [(change.model, change.record) for change in commit.changes]
        self._records.load(keys)

    def _changes_of(
        self, feed: Feed, header: CommitHeader, commit_hash: bytes
    ) -> tuple[SharedChange, ...]:
        fresh = self._fresh.get(commit_hash)
        if fresh is not None:
            return fresh.changes
        body = self._connection.exec_driver_sql(
            "SELECT body FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, header.seq)
        ).scalar_one()
        return commits.decode_body(header, body)

    def save(self) -> None:
        """Write what was merged, and say how far it has come."""
        self._records.save()
        self._tell(self.applied)


def merge(
    records: Records, feed: bytes, seq: int, stamp: Stamp, changes: Sequence[SharedChange]
) -> None:
    """Merge the changes of the commit at (feed, seq) into the registers."""
    records.load((change.model, change.record) for change in changes)
    dot = Dot(feed, seq)
    for place, change in enumerate(changes):
        records.apply(change, dot, stamp, place)


def take_effect(
    connection: Connection, feed: Feed, header: CommitHeader, commit_hash: bytes, now_ms: int
) -> Feed:
    """Note that the next stored commit of `feed` has been merged; return the feed after it."""
    effects = Effects(connection, feed, now_ms)
    effects.take(header, commit_hash)
    effects.write()
    return effects.feed


def read_log(connection: Connection, feed: bytes, after: int) -> LogBatch | None:
    """Return the next commits of a feed as they were signed, or None if there are none.

    A body that is forgotten travels as an empty one: none that was signed is. Of a branch there is
    nothing before it begins: the batch says after which number it does.
    """
    known = feed_of_or_none(connection, feed)
    head = 0 if known is None else shown(known, asked_for(connection, known))
    if known is None or head <= after:
        return None
    if known.trunk is not None:
        after = max(after, feed_at(connection, known.trunk).received)
    taken: list[SignedCommit] = []
    size = 0
    rows = connection.exec_driver_sql(
        "SELECT header, signature, coalesce(body, X'') FROM commit_log"
        " WHERE feed = ? AND seq > ? AND seq <= ? ORDER BY seq",
        (known.key, after, head),
    )
    for row in rows:
        size += len(row[0]) + len(row[2])
        if taken and (size > limits.LOG_BYTES or len(taken) * 3 + 4 > limits.MAX_PARTS):
            break
        taken.append(SignedCommit(*row))
    rows.close()
    return LogBatch(feed, after, head, tuple(taken))


def future_authors(connection: Connection, wall_ms: int, bound: bytes) -> list[bytes]:
    """Return the devices whose own stamps lie in the future: `bound` is the packed drift bound.

    One who only built on somebody else's future value is not named, nor one of whose commits it
    cannot be told any more.
    """
    named: dict[bytes, None] = {}
    rows = connection.exec_driver_sql(
        "SELECT header, body FROM commit_log WHERE stamp > ? AND body IS NOT NULL", (bound,)
    )
    for header_bytes, body in rows:
        header = commits.decode_header(header_bytes)
        if header.feed[:16] in named:
            continue
        overwritten = highest_seen(commits.decode_body(header, body))
        if is_from_future(header.stamp, overwritten, wall_ms):
            named[bytes(header.feed[:16])] = None
    return list(named)
