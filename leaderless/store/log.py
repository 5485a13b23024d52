"""The log at rest: feeds and commits, received and applied.

A commit is stored in order of its feed (*received*), and takes effect once all that it builds on
has (*applied*). Between the two it is on the shelf: durable, with the reason it waits for. It
waits for nothing but its causal past and the other parts of its own command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import commits, limits
from leaderless.protocol.messages import LogBatch, SignedCommit
from leaderless.store import branches, closing, meta
from leaderless.store.feeds import (
    Feed,
    feed_at,
    feed_of,
    feed_of_or_none,
    feeds,
    forked,
    longest,
    put_feed,
    shown,
)
from leaderless.store.registers import Records
from registry.changes import CommitKind, Dot
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
    "Shelved",
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
    "shelf",
    "take_effect",
]

NEWER: Final = "a newer leaderless on this device: this one does not know its kind"
"""Why a commit waits that only later versions can apply."""

FORGOTTEN: Final = "its content was forgotten: the state of the records is fetched"
"""What a commit waits for whose body is not here."""
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
    feed says so, to be looked at from its start.
    """
    header = commit.header
    place = branches.place_of(connection, header, commit.hash)
    feed = place.feed
    if place.astray is not None:
        put_feed(connection, feed._replace(fault=place.astray))
    if place.astray is not None or place.held or header.seq > feed.received + 1:
        return False
    beyond = feed.counts is not None and header.seq > feed.counts
    lacking = closing.lacking_of(connection, feed.feed) if beyond else {}
    if (
        beyond
        and not lacking
        and shown(connection, feed._replace(received=header.seq)) < header.seq
    ):
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
                reason = (
                    _needs_later(group)
                    or _missing_part(group, at)
                    or _forgotten(connection, at, group)
                    or _waits_for(connection, group)
                    or _waits_for_named(connection, at, group)
                )
                if reason is not None:
                    _shelve(connection, at, reason)
                    break
                for header, commit_hash in group:
                    at = applying.take(at, header, commit_hash)
                progress = True
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
        self.applied = 0

    def take(self, feed: Feed, header: CommitHeader, commit_hash: bytes) -> Feed:
        """Let the next commit of a feed take effect; return the feed after it."""
        body = self._connection.exec_driver_sql(
            "SELECT body FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, header.seq)
        ).scalar_one()
        changes = commits.decode_body(header, body)
        names = branches.names_for(self._connection, feed, header, changes)
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
    here = feed.received - feed.applied
    rows = connection.exec_driver_sql(
        query, (feed.key, feed.applied, parts if here >= parts else 1)
    )
    return [(commits.decode_header(header), commit_hash) for header, commit_hash in rows]


def _needs_later(group: list[tuple[CommitHeader, bytes]]) -> str | None:
    """Return that a group is of a kind that this version does not know, or None."""
    later = any(header.kind is CommitKind.LATER for header, _ in group)
    return NEWER if later else None


def _missing_part(group: list[tuple[CommitHeader, bytes]], feed: Feed) -> str | None:
    """Return which part of its next command a feed lacks, or None."""
    parts, here = group[0][0].parts, feed.received - feed.applied
    return None if here >= parts else f"part {here + 1} of {parts} of its command"


def _forgotten(
    connection: Connection, feed: Feed, group: list[tuple[CommitHeader, bytes]]
) -> str | None:
    """Return that the body of some part of a group is not here, or None if all are."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log WHERE feed = ? AND seq BETWEEN ? AND ? AND body IS NULL LIMIT 1",
        (feed.key, group[0][0].seq, group[-1][0].seq),
    ).first()
    return None if found is None else FORGOTTEN


def _waits_for(connection: Connection, group: list[tuple[CommitHeader, bytes]]) -> str | None:
    """Return why a group cannot take effect yet, or None."""
    for header, _ in group:
        for needed in header.dependencies:
            said = f"commit {needed.seq} of {needed.feed[:16].hex()}"
            held = feed_of_or_none(connection, needed.feed)
            if held is None or held.received < needed.seq:
                held = branches.feed_with(connection, needed)
            if held is None or held.applied < needed.seq:
                return said
            here = connection.exec_driver_sql(
                "SELECT hash FROM commit_log WHERE feed = ? AND seq = ?", (held.key, needed.seq)
            ).scalar()
            if here is not None and here != needed.hash:
                # Either its author invents, or there is a branch that nobody has told of yet.
                fault = f"somebody builds on another commit {needed.seq} of it than is here"
                put_feed(connection, held._replace(fault=held.fault or fault))
                return f"another {said} than is here"
    return None


def _waits_for_named(
    connection: Connection, feed: Feed, group: list[tuple[CommitHeader, bytes]]
) -> str | None:
    """Return which commit that the changes of a group name has not taken effect here, or None.

    An honest author depends on all that it has seen. The merge relies on it, so it is not left to
    what a header says.
    """
    named: dict[bytes, int] = {}
    for header, _ in group:
        body = connection.exec_driver_sql(
            "SELECT body FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, header.seq)
        ).scalar_one()
        if commits.names_others(header, body):
            changes = commits.decode_body(header, body)
            names = branches.names_for(connection, feed, header, changes)
            for at in commits.positions(changes):
                of = at.feed if names is None else names.feed(at.feed, at.seq)
                named[of] = max(named.get(of, 0), at.seq)
    named.pop(feed.feed, None)
    for of, seq in named.items():
        held = feed_of_or_none(connection, of)
        if held is None or held.applied < seq:
            return f"commit {seq} of {of[:16].hex()}, which it names"
    return None


def _shelve(connection: Connection, feed: Feed, reason: str) -> None:
    connection.exec_driver_sql(
        "UPDATE commit_log SET waits_for = ? WHERE feed = ? AND seq = ?",
        (reason, feed.key, feed.applied + 1),
    )


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
    head = 0 if known is None else shown(connection, known)
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


class Shelved(NamedTuple):
    """A commit that is stored and has not taken effect."""

    feed: bytes
    seq: int
    command: str
    waits_for: str


def shelf(connection: Connection) -> list[Shelved]:
    """Return the first waiting commit of each feed, with its reason."""
    found = connection.exec_driver_sql(
        "SELECT f.feed, c.seq, c.command, c.waits_for FROM feed f JOIN commit_log c"
        " ON c.feed = f.id AND c.seq = f.applied + 1"
        " WHERE f.received > f.applied AND (f.counts IS NULL OR f.counts > f.applied)"
    )
    return [Shelved(feed, seq, command, reason or "") for feed, seq, command, reason in found]


def forgotten(connection: Connection) -> dict[bytes, int]:
    """Return, by feed, the next commit where the log cannot go on as its body is not here."""
    found = connection.exec_driver_sql(
        "SELECT f.feed, c.seq FROM feed f JOIN commit_log c ON c.feed = f.id"
        " AND c.seq = f.applied + 1 WHERE f.received > f.applied AND c.waits_for = ?"
        " AND (f.counts IS NULL OR f.counts > f.applied)",
        (FORGOTTEN,),
    )
    return {feed: seq for feed, seq in found}


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
