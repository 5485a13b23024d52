"""The log at rest: feeds and commits, received and applied.

A commit is stored in order of its feed (*received*), and takes effect once all that it builds on
has (*applied*). Between the two it is on the shelf (store/shelf.py): durable, with the reason it
waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import commits, limits
from leaderless.protocol.messages import LogBatch, SignedCommit
from leaderless.store import awaited, branches, closing, meant, meta, shelf
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
from leaderless.store.registers import Records
from registry.changes import Dot
from registry.hlc import is_from_future
from registry.merge import highest_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    "settle",
    "take_effect",
]

AT_ONCE: Final = limits.MAX_CHANGES
"""Changes whose records are held in memory together: those of one commit, or of many small ones."""


class Received(NamedTuple):
    """A commit whose signature and bytes were found valid; without changes if its body is forgotten."""

    header: CommitHeader
    changes: tuple[SharedChange, ...]
    signed: SignedCommit
    hash: bytes


def receive(connection: Connection, commit: Received, now_ms: int) -> bool:
    """Store the next commit of a feed; return whether it was new.

    A commit beyond the next is not stored (it will be asked for again), nor is one of a closed feed
    that does not count, unless it shows that there is a branch, or one may lead by it to a commit
    that somebody waits for. One that differs from what stands at its position is a fork, and begins
    a branch. Of one that does not follow from what is here there must be a fork further below: the
    feed says so, to be looked at from its start, unless nothing more of it is wanted.
    """
    header = commit.header
    place = branches.place_of(connection, header, commit.hash)
    feed = place.feed
    if place.astray is not None and (
        feed.counts is None or awaited.lacking_of(connection, feed.feed)
    ):
        put_feed(connection, feed._replace(fault=place.astray))
    if place.astray is not None or place.held or header.seq > feed.received + 1:
        return False
    beyond = feed.counts is not None and header.seq > feed.counts
    lacking = awaited.lacking_of(connection, feed.feed) if beyond else {}
    if beyond and not lacking and header.seq > (asked_for(connection, feed) or 0):
        return False
    connection.exec_driver_sql(
        "INSERT INTO commit_log (feed, seq, header, signature, body, hash, stamp, command,"
        " command_id, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            feed.key,
            header.seq,
            *(commit.signed.header, commit.signed.signature, commit.signed.body or None),
            commit.hash,
            header.stamp.pack(),
            header.command,
            header.command_id,
            now_ms,
        ),
    )
    put_feed(connection, feed._replace(received=header.seq, received_hash=commit.hash))
    if commit.hash in lacking:
        closing.count(connection, lacking[commit.hash])
    elif not beyond:
        closing.note(connection, header)
    return True


def settle(connection: Connection, feed: bytes, last: Received) -> None:
    """A peer has no more of a feed than up to `last`: doubt the feed no more if that stands here.

    Commits are chained by their hashes, so all before it is the same on both sides. What gave rise
    to the doubt is held by somebody else, and told again by whoever that is; or by nobody any more.
    """
    held = feed_of_or_none(connection, feed)
    if held is None or held.fault is None:
        return
    here = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log WHERE feed = ? AND hash = ?", (held.key, last.hash)
    ).first()
    if here is not None:
        put_feed(connection, held._replace(fault=None))


def apply_ready(
    connection: Connection,
    registry: Registry,
    now_ms: int,
    tell: Callable[[int], None] = lambda _: None,
) -> int:
    """Apply every commit that waits for nothing more; return how many there were.

    Clocks observe what is applied; `tell` hears now and then how many commits were applied. The
    caller holds one transaction around this and `receive`.
    """
    if meta.get(connection, meta.RENAMED) is not None:
        meta.drop(connection, meta.RENAMED)
        Records(connection, registry, now_ms).show(branches.records(connection), ())
    applying = _Applying(connection, registry, now_ms, tell)
    progress = True
    while progress:
        progress = False
        for feed in feeds(connection):
            at = feed
            if at.trunk is not None:
                trunk = feed_at(connection, at.trunk)
                if trunk.applied < trunk.received:
                    continue  # what it begins behind comes first
            while at.applied < at.reach:
                # Looked at before any body is: a command of many parts comes bit by bit.
                group = _next_group(connection, at)
                reason = shelf.waits_for(connection, at, group) or applying.named.lacks(
                    at, group[-1][0].seq
                )
                if reason is not None:
                    shelf.put(connection, at, reason)
                    break
                for header, commit_hash in group:
                    at = applying.take(at, header, commit_hash)
                progress = True
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
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._tell = tell
        self._records = Records(connection, registry, now_ms)
        self._changes = 0
        self.named = Named(connection)
        self.applied = 0

    def take(self, feed: Feed, header: CommitHeader, commit_hash: bytes) -> Feed:
        """Let the next commit of a feed take effect; return the feed after it."""
        body = self._connection.exec_driver_sql(
            "SELECT body FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, header.seq)
        ).scalar_one()
        changes = commits.decode_body(header, body)
        names = meant.names_for(self._connection, feed, header.seq, changes)
        if names is not None:
            changes = tuple(map(names.change, changes))
        if self._changes and self._changes + len(changes) > AT_ONCE:
            self.save()
            self._records = Records(self._connection, self._registry, self._now_ms)
            self._changes = 0
        self._changes += len(changes)
        merge(self._records, feed.feed, header.seq, header.stamp, changes)
        self.applied += 1
        return take_effect(self._connection, feed, header, commit_hash, self._now_ms)

    def save(self) -> None:
        """Write what was merged, and say how far it has come."""
        self._records.save()
        self._tell(self.applied)


def _next_group(connection: Connection, feed: Feed) -> list[tuple[CommitHeader, bytes]]:
    """Return header and hash of a feed's next commit and of the other parts of its command.

    Of a command that is not whole the first part alone: the rest is not looked at each time again.
    """
    query = "SELECT header, hash FROM commit_log WHERE feed = ? AND seq > ? ORDER BY seq LIMIT ?"
    first = connection.exec_driver_sql(query, (feed.key, feed.applied, 1)).one()
    parts = commits.decode_header(first[0]).parts
    limit = parts if feed.received - feed.applied >= parts else 1
    rows = connection.exec_driver_sql(query, (feed.key, feed.applied, limit))
    return [(commits.decode_header(header), commit_hash) for header, commit_hash in rows]


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
    connection.exec_driver_sql(
        "UPDATE commit_log SET applied_at = coalesce(applied_at, ?), waits_for = NULL"
        " WHERE feed = ? AND seq = ?",
        (now_ms, feed.key, header.seq),
    )
    feed = feed._replace(applied=header.seq, applied_hash=commit_hash)
    put_feed(connection, feed)
    meta.put_clock(connection, meta.clock(connection).observe(header.stamp, now_ms))
    return feed


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
