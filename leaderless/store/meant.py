"""What the author of a commit means by positions behind a fork: the branch that it had applied.

It may not have known of the fork, or of a later one of the branch that it names. What it had applied
it has signed, by hash: so every device finds the same, whatever else is here. That there are
branches, and what has taken effect is called by their names, is branches.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol import commits
from leaderless.store.feeds import Feed, feed_at, feed_of_or_none, feed_with, forked
from registry.changes import LIFE_BYTES, Position, feed_device, feed_id, feed_incarnation
from registry.hlc import Stamp
from registry.renaming import Move, Names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.changes import CommitHeader, FeedId, Guard, SharedChange, WriteRef


class Known(NamedTuple):
    """How far somebody had applied a feed that has forked: in which branch, and up to where."""

    branch: Feed
    seq: int


def names_for(
    connection: Connection,
    feed: Feed,
    seq: int,
    changes: Sequence[SharedChange],
    ends: Mapping[bytes, Feed] | None = None,
) -> Names | None:
    """Return what the author of a stored commit calls by other names than we do; None for nothing.

    The commit stands at `seq` of `feed`; `ends` are the feeds that have forked, if they are known.
    """
    if ends is None:
        ends = forked_feeds(connection)
    if not ends:
        return None
    named = _behind(ends, commits.positions(changes))
    for change in changes:
        guard = change.guard
        if guard.feed in ends and _is_behind_a_fork(connection, guard):
            named.add(guard.feed)
    return _names_known_to(connection, feed, seq, named, ends)


def as_here(
    connection: Connection, held: bytes, seq: int, changes: tuple[SharedChange, ...]
) -> tuple[SharedChange, ...]:
    """Return changes of the commit at `seq` of the feed `held` by the names that we have."""
    feed = feed_of_or_none(connection, held)
    if feed is None:
        return changes
    names = names_for(connection, feed, seq, changes)
    return changes if names is None else tuple(map(names.change, changes))


def write_as_here(connection: Connection, held: bytes, seq: int, ref: WriteRef) -> WriteRef:
    """Return a write that the commit at `seq` of the feed `held` names, by the name that we have."""
    feed, ends = feed_of_or_none(connection, held), forked_feeds(connection)
    if feed is None:
        return ref
    named = _behind(ends, [Position(ref.feed, ref.seq)])
    names = _names_known_to(connection, feed, seq, named, ends)
    return ref if names is None else names.ref(ref)


def guard_of(connection: Connection, guard: Guard, write: Position, of: Feed) -> Guard:
    """Return the guard of a write that has taken effect, now that the feed `of` has forked.

    The write goes by the name that it has from now on.
    """
    feed = feed_of_or_none(connection, write.feed)
    known = None if feed is None else _known_to(connection, feed, write.seq, of)
    return guard if known is None else Names([_move(connection, of, known)]).guard(guard)


def signed_name(feed: bytes) -> FeedId:
    """Return what the commits of a feed or branch call it."""
    return feed_id(feed[:16], feed_incarnation(feed))


def is_at_or_behind(connection: Connection, feed: bytes, of: bytes) -> bool:
    """Return whether a feed is `of`, or a branch that begins behind it."""
    at = feed_of_or_none(connection, feed)
    while at is not None and at.feed != of:
        at = None if at.trunk is None else feed_at(connection, at.trunk)
    return at is not None


class Stamps:
    """The stamps of the commits of some feeds up to a number, looked up one by one."""

    def __init__(self, connection: Connection, keys: Collection[int], upto: int) -> None:
        """Look into the log of `connection`, at the feeds with these local keys."""
        self._connection = connection
        self._keys = keys
        self._upto = upto

    def __contains__(self, stamp: object) -> bool:
        """Return whether a commit of these feeds has a stamp."""
        packed = stamp.pack() if isinstance(stamp, Stamp) else b""
        query = "SELECT feed, seq FROM commit_log WHERE stamp = ?"
        found = self._connection.exec_driver_sql(query, (packed,)).all()
        return any(key in self._keys and seq <= self._upto for key, seq in found)


def forked_feeds(connection: Connection) -> dict[bytes, Feed]:
    """Return the feeds and branches that have forked."""
    return {feed.feed: feed for feed in forked(connection)}


def _behind(ends: Mapping[bytes, Feed], named: Iterable[Position]) -> set[bytes]:
    """Return the feeds behind whose ends something is named."""
    return {at.feed for at in named if at.feed in ends and at.seq > ends[at.feed].received}


def _is_behind_a_fork(connection: Connection, guard: Guard) -> bool:
    """Return whether a guard may be of a commit in a branch: one there has its stamp."""
    found = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log c JOIN feed f ON f.id = c.feed WHERE c.stamp = ?"
        " AND f.trunk IS NOT NULL AND substr(f.feed, 1, 28) = ? LIMIT 1",
        (b"" if guard.stamp is None else guard.stamp.pack(), guard.feed[:LIFE_BYTES]),
    )
    return found.scalar() is not None


def _names_known_to(
    connection: Connection,
    feed: Feed,
    seq: int,
    named: Collection[bytes],
    ends: Mapping[bytes, Feed],
) -> Names | None:
    """Return what the author of a commit means by what it names behind the ends of some feeds."""
    moves: list[Move] = []
    wanted = sorted(named)
    for name in wanted:
        known = _known_to(connection, feed, seq, ends[name])
        if known is not None:
            moves.append(_move(connection, ends[name], known))
            if moves[-1].branch in ends and moves[-1].branch not in wanted:
                wanted.append(moves[-1].branch)
    return Names(moves) if moves else None


def _move(connection: Connection, of: Feed, known: Known) -> Move:
    """Return what is meant behind a fork by somebody who had applied so much there."""
    at = known.branch
    keys = [at.key]
    while at.trunk is not None and at.trunk != of.key:
        at = feed_at(connection, at.trunk)
        keys.append(at.key)
    return Move(of.feed, of.received + 1, at.feed, Stamps(connection, keys, known.seq))


def _known_to(connection: Connection, feed: Feed, seq: int, of: Feed) -> Known | None:
    """Return how far the author of the commit at `seq` of `feed` had applied what is behind a fork.

    That is, as it has said last: by a name from before the fork, as it knew of none where it names
    what is behind it. None for nothing.
    """
    if feed.feed[:LIFE_BYTES] == of.feed[:LIFE_BYTES]:
        return Known(feed, seq) if _is_behind(connection, feed, of) else None
    names = {of.feed}
    at = of
    while at.trunk is not None:
        at = feed_at(connection, at.trunk)
        names.add(at.feed)
    for said in _said(connection, feed, seq, of.feed[:LIFE_BYTES]):
        for needed in said.dependencies:
            if needed.feed in names and needed.seq > of.received:
                held = feed_with(connection, needed)
                if held is not None and _is_behind(connection, held, of):
                    return Known(held, needed.seq)
    return None


def _is_behind(connection: Connection, feed: Feed, of: Feed) -> bool:
    return feed.key != of.key and is_at_or_behind(connection, feed.feed, of.feed)


def _said(connection: Connection, feed: Feed, seq: int, life: bytes) -> Iterator[CommitHeader]:
    """Yield what the author of the commit at `seq` of `feed` had signed that names a life.

    The latest first: in that feed, in what it begins behind, then in earlier incarnations.
    """
    lives, done = [(feed, seq)], {feed.key}
    for at, upto in lives:
        yield from _naming(connection, at, upto, life)
        while at.trunk is not None and (trunk := feed_at(connection, at.trunk)).received:
            at = trunk  # noqa: PLW2901 - down to the first commit
            yield from _naming(connection, at, upto, life)
        for needed in sorted(_first_of(connection, at).dependencies, reverse=True):
            if feed_device(needed.feed) == feed_device(feed.feed):
                held = feed_with(connection, needed)
                if held is not None and held.key not in done:
                    done.add(held.key)
                    lives.append((held, needed.seq))


def _naming(connection: Connection, feed: Feed, upto: int, life: bytes) -> Iterator[CommitHeader]:
    rows = connection.exec_driver_sql(
        "SELECT header FROM commit_log WHERE feed = ? AND seq <= ? AND instr(header, ?) > 0"
        " ORDER BY seq DESC",
        (feed.key, upto, life),
    )
    try:
        yield from map(commits.decode_header, rows.scalars())
    finally:
        rows.close()


def _first_of(connection: Connection, feed: Feed) -> CommitHeader:
    query = "SELECT header FROM commit_log WHERE feed = ? ORDER BY seq LIMIT 1"
    return commits.decode_header(connection.exec_driver_sql(query, (feed.key,)).scalar_one())
