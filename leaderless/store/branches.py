"""Forks: two commits at one position, and the branches that follow from them.

A fork ends its feed before that position. Each branch is a feed of its own from there on, named by the
hash of its first commit, and counts like any other: who built on one of them waits for nothing, and
who meets both merges both. Commits keep the feed and the numbers that were signed; where they, or
the registers, name a position behind the fork, the branch is meant that its author had before it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol import commits, hashing
from leaderless.protocol.records import (
    decode_ref,
    decode_state,
    encode_deaths,
    encode_ref,
    encode_state,
    record_element,
)
from leaderless.store import closing, meta
from leaderless.store.discarding import discard
from leaderless.store.feeds import (
    Feed,
    branches_of,
    feed_at,
    feed_of,
    feed_of_or_none,
    feed_with,
    feeds,
    forked,
)
from registry.changes import LIFE_BYTES, feed_id, feed_incarnation, is_branch
from registry.hlc import Stamp
from registry.renaming import Move, Names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.changes import CommitHeader, FeedId, SharedChange, WriteRef


class Place(NamedTuple):
    """Where a commit belongs: in `feed`, as the next one unless it is `held` already.

    `astray` says why no place can be told: it follows from a commit that is not here.
    """

    feed: Feed
    held: bool = False
    astray: str | None = None


def place_of(connection: Connection, header: CommitHeader, commit_hash: bytes) -> Place:
    """Return where a commit belongs; a branch is made for it if it is the second at its position."""
    feed = feed_of(connection, header.feed)
    while feed.forked is not None and header.seq >= feed.forked:
        below = _branch_with(connection, feed, header, commit_hash)
        if below is None:
            if header.seq > feed.forked or header.previous != feed.received_hash:
                return Place(feed, astray=_astray(header))
            return Place(_branch(connection, feed, commit_hash))
        feed = below
    if header.seq > feed.received:
        follows = header.seq > feed.received + 1 or header.previous == feed.received_hash
        return Place(feed, astray=None if follows else _astray(header))
    held = _hash_at(connection, feed, header.seq)
    if held == commit_hash:
        return Place(feed, held=True)
    if _hash_at(connection, feed, header.seq - 1) != header.previous:
        return Place(feed, astray=_astray(header))
    _split(connection, feed, header.seq)
    return Place(_branch(connection, feed_at(connection, feed.key), commit_hash))


def _astray(header: CommitHeader) -> str:
    return f"its commit {header.seq} does not follow from the one before it"


def _branch_with(
    connection: Connection, feed: Feed, header: CommitHeader, commit_hash: bytes
) -> Feed | None:
    """Return the branch behind a feed in which a commit is, or follows."""
    for branch in branches_of(connection, feed):
        if header.seq == feed.forked:
            if branch.feed[LIFE_BYTES:] == commit_hash[:16]:
                return branch
        elif _leads_to(connection, branch, header.seq - 1, header.previous):
            return branch
    return None


def _leads_to(connection: Connection, feed: Feed, seq: int, wanted: bytes) -> bool:
    """Return whether a commit stands in a branch, or in one behind it."""
    if _hash_at(connection, feed, seq) == wanted:
        return True
    return any(_leads_to(connection, item, seq, wanted) for item in branches_of(connection, feed))


def _hash_at(connection: Connection, feed: Feed, seq: int) -> bytes | None:
    """Return the hash of the commit of a feed, or of what it begins behind; None if it has none."""
    if seq == 0:
        return commits.NO_HASH
    if seq == feed.received:
        return feed.received_hash
    held = connection.exec_driver_sql(
        "SELECT hash FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, seq)
    ).scalar()
    if held is None and feed.trunk is not None:
        trunk = feed_at(connection, feed.trunk)
        return _hash_at(connection, trunk, seq) if seq <= trunk.received else None
    return None if held is None else bytes(held)


def _branch(connection: Connection, trunk: Feed, first: bytes) -> Feed:
    """Make an empty branch behind a feed that is forked; of a closed one nothing more counts."""
    end = (trunk.received, trunk.received_hash)
    feed = feed_of(connection, trunk.feed[:LIFE_BYTES] + first[:16])
    counts = None if feed.counts is None else max(feed.counts, trunk.received)
    connection.exec_driver_sql(
        "UPDATE feed SET received = ?, received_hash = ?, applied = ?, applied_hash = ?, told = ?,"
        " trunk = ?, counts = ? WHERE id = ?",
        (*end, *end, trunk.received, trunk.key, counts, feed.key),
    )
    return feed_at(connection, feed.key)


def _split(connection: Connection, feed: Feed, at: int) -> None:
    """End a feed before a position; what it has from there on becomes a branch.

    What was fetched of others' state, and waits to take effect, calls commits by their old names.
    """
    discard(connection)
    end = _hash_at(connection, feed, at - 1)
    first = _hash_at(connection, feed, at)
    if end is None or first is None:
        raise RuntimeError("a feed is split where it has no commit")
    connection.exec_driver_sql(
        "UPDATE feed SET received = ?, received_hash = ?, applied = min(applied, ?),"
        " applied_hash = ?, told = min(told, ?), forked = ?, fault = NULL,"
        " counts = min(counts, ?) WHERE id = ?",
        (
            *(at - 1, end, at - 1, end if feed.applied >= at else feed.applied_hash, at - 1),
            *(at, at - 1, feed.key),
        ),
    )
    branch = _branch(connection, feed_at(connection, feed.key), first)
    connection.exec_driver_sql(
        "UPDATE commit_log SET feed = ? WHERE feed = ? AND seq >= ?", (branch.key, feed.key, at)
    )
    connection.exec_driver_sql(
        "UPDATE feed SET trunk = ? WHERE trunk = ? AND id <> ?", (branch.key, feed.key, branch.key)
    )
    has_effect = feed.applied >= at
    connection.exec_driver_sql(
        "UPDATE feed SET received = ?, received_hash = ?, applied = ?, applied_hash = ?, told = ?,"
        " counts = ?, forked = ? WHERE id = ?",
        (
            *(feed.received, feed.received_hash),
            *((feed.applied, feed.applied_hash) if has_effect else (at - 1, end)),
            *(max(feed.told, at - 1), feed.counts, feed.forked, branch.key),
        ),
    )
    if has_effect:
        stamps = _Stamps(connection, (branch.key,))
        _rename_all(connection, Move(feed.feed, at, branch.feed, stamps))
    if feed.counts is not None:
        # What is said to count under the feed's name may be meant of a branch that is not here yet.
        closing.recount(connection)


class _Stamps:
    """The stamps of the commits of some feeds, looked up one by one."""

    def __init__(self, connection: Connection, keys: Sequence[int]) -> None:
        self._connection = connection
        self._keys = keys

    def __contains__(self, stamp: object) -> bool:
        """Return whether a commit of these feeds has a stamp."""
        packed = stamp.pack() if isinstance(stamp, Stamp) else b""
        query = "SELECT feed FROM commit_log WHERE stamp = ?"
        found = self._connection.exec_driver_sql(query, (packed,)).scalars()
        return any(key in self._keys for key in found.all())


# --- names ----------------------------------------------------------------------------------------


def _rename_all(connection: Connection, move: Move) -> None:
    """Call what has taken effect of a feed, and is in a branch now, by the branch's name."""
    names = Names([move])
    total = 0
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, state, deaths, remains FROM record WHERE instr(state, ?) > 0"
        " OR instr(deaths, ?) > 0 OR instr(remains, ?) > 0",
        (move.feed,) * 3,
    ).all()
    for model, uuid, packed, *beside in rows:
        state = names.state(decode_state(packed, *beside))
        renamed = encode_state(state)
        total += record_element(model, uuid, renamed) - record_element(model, uuid, packed)
        remains = encode_state(state.remembered) if state.remains else None
        connection.exec_driver_sql(
            "UPDATE record SET state = ?, deaths = ?, remains = ? WHERE model = ? AND uuid = ?",
            (renamed, encode_deaths(state.deaths), remains, model, uuid),
        )
    held = meta.get(connection, meta.SHARED_HASH)
    meta.put(connection, meta.SHARED_HASH, hashing.add(held, total))
    losers = connection.exec_driver_sql(
        "SELECT id, loser FROM journal WHERE instr(loser, ?) > 0", (move.feed,)
    ).all()
    for key, loser in losers:
        renamed = encode_ref(names.ref(decode_ref(loser)))
        connection.exec_driver_sql("UPDATE journal SET loser = ? WHERE id = ?", (renamed, key))
    values = connection.exec_driver_sql(
        "SELECT DISTINCT record, ref FROM replaced WHERE instr(ref, ?) > 0", (move.feed,)
    ).all()
    for record, ref in values:
        connection.exec_driver_sql(
            "UPDATE replaced SET ref = ? WHERE record = ? AND ref = ?",
            (encode_ref(names.ref(decode_ref(ref))), record, ref),
        )
    # The tables show writes in their order, in which the names of feeds come last.
    meta.put(connection, meta.RENAMED, 1)


def records(connection: Connection) -> list[tuple[str, bytes]]:
    """Return the records in whose memory a branch is named."""
    found: dict[tuple[str, bytes], None] = {}
    for feed in feeds(connection):
        if feed.trunk is not None:
            rows = connection.exec_driver_sql(
                "SELECT model, uuid FROM record WHERE instr(state, ?) > 0", (feed.feed,)
            )
            found.update(dict.fromkeys((model, uuid) for model, uuid in rows))
    return list(found)


def names_for(
    connection: Connection, feed: Feed, header: CommitHeader, changes: Sequence[SharedChange]
) -> Names | None:
    """Return what the author of a stored commit calls by other names than we do; None for nothing."""
    ends = _ends(connection)
    if not ends:
        return None
    named = {at.feed for at in commits.positions(changes) if at.seq > ends.get(at.feed, at.seq)}
    named |= {change.guard.feed for change in changes if change.guard.feed in ends}
    return _names_known_to(connection, feed, header, named, ends)


def _ends(connection: Connection) -> dict[bytes, int]:
    """Return where those feeds end, as they are signed, that are forked."""
    return {trunk.feed: trunk.received for trunk in forked(connection) if not is_branch(trunk.feed)}


def _names_known_to(
    connection: Connection,
    feed: Feed,
    header: CommitHeader,
    named: Collection[bytes],
    ends: Mapping[bytes, int],
) -> Names | None:
    """Return what the author of a commit means by what it names behind the ends of some feeds."""
    moves: list[Move] = []
    for of in sorted(named):
        own = of == header.feed
        known = feed if own else _branch_known_to(connection, feed, header, of, ends[of])
        moves += [] if known is None else _path(connection, known)
    return Names(moves) if moves else None


def as_here(
    connection: Connection, held: bytes, header: CommitHeader, changes: tuple[SharedChange, ...]
) -> tuple[SharedChange, ...]:
    """Return changes of a commit that stands in the feed `held` by the names that we have."""
    feed = feed_of_or_none(connection, held)
    if feed is None:
        return changes
    names = names_for(connection, feed, replace(header, feed=signed_name(held)), changes)
    return changes if names is None else tuple(map(names.change, changes))


def write_as_here(
    connection: Connection, held: bytes, header: CommitHeader, ref: WriteRef
) -> WriteRef:
    """Return a write that a commit in the feed `held` names, by the name that we have."""
    feed, ends = feed_of_or_none(connection, held), _ends(connection)
    if feed is None or ref.seq <= ends.get(ref.feed, ref.seq):
        return ref
    header = replace(header, feed=signed_name(held))
    names = _names_known_to(connection, feed, header, (ref.feed,), ends)
    return ref if names is None else names.ref(ref)


def signed_name(feed: bytes) -> FeedId:
    """Return what the commits of a feed or branch call it."""
    return feed_id(feed[:16], feed_incarnation(feed))


def is_at_or_behind(connection: Connection, feed: bytes, of: bytes) -> bool:
    """Return whether a feed is `of`, or a branch that begins behind it."""
    at = feed_of_or_none(connection, feed)
    while at is not None and at.feed != of:
        at = None if at.trunk is None else feed_at(connection, at.trunk)
    return at is not None


def _path(connection: Connection, feed: Feed) -> list[Move]:
    """Return the moves that lead from the feed as it is signed to a branch of it."""
    moves: list[Move] = []
    keys: list[int] = []
    while feed.trunk is not None:
        trunk = feed_at(connection, feed.trunk)
        keys.append(feed.key)
        stamps = _Stamps(connection, tuple(keys))
        moves.append(Move(trunk.feed, trunk.received + 1, feed.feed, stamps))
        feed = trunk
    return moves


def _branch_known_to(
    connection: Connection, feed: Feed, header: CommitHeader, trunk: bytes, end: int
) -> Feed | None:
    """Return the branch of a feed that the author of a commit had applied, as it has said last.

    It said so in this feed, in what this one begins behind, or in an earlier incarnation.
    """
    rows = connection.exec_driver_sql(
        "SELECT c.header FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE substr(f.feed, 1, 16) = ? AND instr(c.header, ?) > 0"
        " ORDER BY f.id = ? DESC, c.stamp DESC, c.seq DESC",
        (feed.feed[:16], trunk, feed.key),
    )
    try:
        for packed in rows.scalars():
            said = commits.decode_header(packed)
            if said.feed == header.feed and said.seq > header.seq:
                continue
            for needed in said.dependencies:
                if needed.feed == trunk and needed.seq > end:
                    return feed_with(connection, needed)
    finally:
        rows.close()
    return None
