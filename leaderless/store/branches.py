"""Forks: two commits at one position, and the branches that follow from them.

A fork ends its feed before that position. Each branch is a feed of its own from there on, named by the
hash of its first commit, and counts like any other: who built on one of them waits for nothing, and
who meets both merges both. Commits keep the feed and the numbers that were signed; which branch they
mean by a position behind the fork is meant.py's.
"""

from __future__ import annotations

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
from leaderless.store import closing, meant, meta
from leaderless.store.discarding import discard
from leaderless.store.feeds import (
    Feed,
    branches_of,
    feed_at,
    feed_of,
    feeds,
)
from registry.changes import LIFE_BYTES, Position
from registry.renaming import Move, Names

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.changes import CommitHeader, Guard
    from registry.state import Write


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
        _rename_all(connection, feed_at(connection, feed.key), feed_at(connection, branch.key))
    if feed.counts is not None:
        # What is said to count under the feed's name may be meant of a branch that is not here yet.
        closing.recount(connection)


# --- names ----------------------------------------------------------------------------------------


def _rename_all(connection: Connection, feed: Feed, branch: Feed) -> None:
    """Call what has taken effect of a feed, and is in a branch now, by the branch's name."""
    stamps = meant.Stamps(connection, [branch.key], branch.received)
    move = Move(feed.feed, feed.received + 1, branch.feed, stamps)
    names = Names([move])

    def guard_of(write: Write) -> Guard:
        if write.guard.feed != move.feed or write.guard.stamp not in move.stamps:
            return write.guard
        at = names.ref(write.ref)
        return meant.guard_of(connection, write.guard, Position(at.feed, at.seq), feed)

    total = 0
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, state, deaths, remains FROM record WHERE instr(state, ?) > 0"
        " OR instr(deaths, ?) > 0 OR instr(remains, ?) > 0",
        (move.feed,) * 3,
    ).all()
    for model, uuid, packed, *beside in rows:
        state = names.state(decode_state(packed, *beside), guard_of)
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
