"""The state of the shared records, fetched from others: kept aside first, then joined at once.

For whoever lacks commits whose bodies are forgotten. What peers send is staged as of the start,
durably, and changes nothing; it can be gone on with after any cut, by any source that has applied
as much. When all of it is here, and all headers up to where it was read last, one transaction joins
every record with ours, those too of which nothing was said, and takes the commits up to the start
for applied. The log goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol.commits import NO_HASH, decode_header
from leaderless.protocol.errors import ProtocolError
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack
from leaderless.protocol.records import encode_deaths, encode_ref, encode_state
from leaderless.protocol.transfer import cursor, decode_record, place
from leaderless.store import awaited, givers, log, meta
from leaderless.store.advancing import is_part
from leaderless.store.discarding import discard
from leaderless.store.feeds import feed_at, feed_of_or_none, standing_in
from leaderless.store.fetched import fact, read_staging
from leaderless.store.rebuild import clear
from leaderless.store.record_source import applied
from leaderless.store.staged import DisagreesError, Joining
from registry.hlc import Stamp
from registry.joining import as_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from leaderless.protocol.messages import Records
    from registry.changes import CommitHeader
    from registry.joining import Memory
    from registry.models import Registry


class OutOfOrderError(ProtocolError):
    """Records came in another order than that of their ids."""

    code = "out_of_order"


def stage(connection: Connection, batch: Records, source: bytes) -> bool:
    """Put a batch aside; return whether it fits what is staged. One that begins anew replaces that.

    One does not fit either whose source calls by the same name what is another commit here: there
    is a fork of which one of us has not heard yet.
    Raises ProtocolError for what no honest source sends: nothing has changed then.
    """
    if _is_beyond_a_fork(connection, batch.as_of):
        return False
    if not batch.after:
        if not _are_ours(connection, batch):
            return False
        discard(connection)
        _reached(connection, batch.as_of)
        connection.exec_driver_sql("UPDATE staged_position SET start = as_of")
        log_hash = _log_hash(batch.as_of, batch.heads)
        meta.put(connection, meta.STAGING, pack([b"", 0, 0, source, log_hash]))
    held = read_staging(connection)
    if held is None or held.done or held.cursor != batch.after:
        return False
    if any(batch.as_of.get(feed, 0) < seq for feed, seq in held.start.items()):
        return False
    if _mixes(connection, source):
        discard(connection)
        return False
    rows = []
    at = place(batch.after)
    for packed in batch.records:
        key, memory = decode_record(packed, batch.as_of)
        if key <= at:
            raise OutOfOrderError("records came in another order than that of their ids")
        at = key
        rows.append((*key, *_packed(as_of(memory, held.start)), source))
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO staged_record (model, uuid, state, deaths, remains, unseen, source)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
    _reached(connection, batch.as_of)
    after = cursor(at) if rows else held.cursor
    begun = fact(connection)[3:]
    meta.put(
        connection,
        meta.STAGING,
        pack([after, held.count + len(rows), int(batch.done), *begun]),
    )
    if batch.done:
        awaited.count_what_is_here(connection)
    return True


def _mixes(connection: Connection, source: bytes) -> bool:
    """Return whether one of two gave the records that are doubted: who began what is staged, `source`.

    What it says once more is not to be mixed with what most others hold.
    """
    if not givers.is_outvoted(connection):
        return False
    gave = givers.givers(connection)
    return (source in gave) != (first_source(connection) in gave)


def first_source(connection: Connection) -> bytes:
    """Return the device whose word the start is."""
    source: bytes = fact(connection)[3]
    return source


# --- the same names for the same commits ----------------------------------------------------------


def _is_beyond_a_fork(connection: Connection, vector: Mapping[bytes, int]) -> bool:
    """Return whether a source has not heard of a fork: it goes on where the feed ends here."""
    return any(vector.get(feed.feed, 0) > feed.received for feed in log.forked(connection))


def _are_ours(connection: Connection, batch: Records) -> bool:
    """Return whether, as far as they are here, the heads of a source are the commits we know.

    Each names the one before it: where the heads are the same, all below them is.
    """
    here = _hashes(connection, batch.as_of)
    return all(batch.heads.get(feed) == held for feed, held in here.items())


def _hashes(connection: Connection, vector: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """Return the hashes of those commits of a vector that are here."""
    found = {feed: _commit_at(connection, feed, seq) for feed, seq in vector.items()}
    return {feed: commit[0] for feed, commit in found.items() if commit is not None}


def _commit_at(connection: Connection, feed: bytes, seq: int) -> tuple[bytes, bytes] | None:
    """Return hash and header of a commit; of a branch of which nothing is applied that before it."""
    known = feed_of_or_none(connection, feed)
    if known is None:
        return None
    row = connection.exec_driver_sql(
        "SELECT hash, header FROM commit_log WHERE feed = ? AND seq = ?",
        (standing_in(connection, known, seq).key, seq),
    ).first()
    return None if row is None else (row[0], row[1])


def _log_hash(vector: Mapping[bytes, int], heads: Mapping[bytes, bytes]) -> bytes:
    """Return one hash of all commits of a vector."""
    return digest(
        b"".join(pack([feed, seq, heads.get(feed)]) for feed, seq in sorted(vector.items()) if seq)
    )


def _reached(connection: Connection, vector: Mapping[bytes, int]) -> None:
    if vector:
        connection.exec_driver_sql(
            "INSERT INTO staged_position (feed, start, as_of) VALUES (?, 0, ?)"
            " ON CONFLICT (feed) DO UPDATE SET as_of = max(as_of, excluded.as_of)",
            list(vector.items()),
        )


def _packed(memory: Memory) -> tuple[bytes | None, ...]:
    state = memory.state
    remains = encode_state(state.remembered) if state.remains else None
    unseen = [pack([*key, value, encode_ref(ref)]) for (key, ref), value in memory.unseen.items()]
    return encode_state(state), encode_deaths(state.deaths), remains, b"".join(unseen)


def is_whole(connection: Connection) -> bool:
    """Return whether all that is to be joined is here: records, and headers up to the last read."""
    held = read_staging(connection)
    return held is not None and held.whole


class Taken(NamedTuple):
    """How many records were joined, and how many commits count as applied by it."""

    records: int
    commits: int
    altered: frozenset[bytes] = frozenset()
    """Who had given the state before, where it was not what the one that replaced it says."""


def take(
    connection: Connection,
    registry: Registry,
    now_ms: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Taken:
    """Let what is staged, and whole, take effect; the caller applies what is ready afterwards.

    Does nothing as long as it is not whole, and discards it where its source had other commits at
    the same positions: it is asked for again once the fork is known. Raises DisagreesError, and
    nothing may be kept of the transaction, where what a source said does not fit the log. `tell`
    hears now and then how many records were joined.
    """
    held = read_staging(connection)
    if held is None or not held.whole:
        return Taken(0, 0)
    if _log_hash(held.start, _hashes(connection, held.start)) != fact(connection)[4]:
        discard(connection)
        return Taken(0, 0)
    _check_start(connection, held.start)
    mine = applied(connection)
    gave, before = _sources(connection), meta.get(connection, meta.SHARED_HASH)
    is_level = mine == {feed: seq for feed, seq in held.start.items() if seq}
    if damaged := meta.get(connection, meta.STATE_WANTED) is not None:
        # Nothing here is believed; what was applied beyond the start comes again with the log.
        clear(connection, registry)
        mine = {}
    records = Joining(connection, registry, now_ms, mine, held.start).run(tell)
    commits = 0
    for feed in log.feeds(connection):
        start = held.start.get(feed.feed, 0)
        if start > feed.applied:
            _pass_over(connection, feed, start, now_ms)
            commits += start - feed.applied
        elif damaged:
            log.put_feed(connection, _applied_to(connection, feed, start))
    altered = frozenset[bytes]()
    if givers.is_outvoted(connection) and is_level:
        altered, gave = _judged(connection, before, gave)
    givers.note(connection, gave if damaged else gave | givers.givers(connection))
    discard(connection)
    meta.drop(connection, meta.STATE_WANTED)
    return Taken(records, commits, altered)


def _sources(connection: Connection) -> frozenset[bytes]:
    """Return the devices that sent what is staged."""
    found = connection.exec_driver_sql("SELECT DISTINCT source FROM staged_record").scalars()
    return frozenset((first_source(connection), *found))


def _judged(
    connection: Connection, before: bytes, gave: frozenset[bytes]
) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return who had given what was not so, and whose word the records are now.

    Where they are the same again at the same positions they were right, and are doubted no more; but
    not by the word of those that gave them.
    """
    held = givers.givers(connection)
    if meta.get(connection, meta.SHARED_HASH) != before:
        return held, gave
    return frozenset(), gave if gave <= held else frozenset()


def _check_start(connection: Connection, start: Mapping[bytes, int]) -> None:
    """Raise DisagreesError where the source had applied a command in part, which nobody does."""
    for feed, seq in start.items():
        commit = _commit_at(connection, feed, seq)
        header = None if commit is None else decode_header(commit[1])
        if header is None or not _ends_command(connection, feed, seq, header):
            raise DisagreesError(first_source(connection), "it is of a part of a command")


def _ends_command(connection: Connection, feed: bytes, seq: int, header: CommitHeader) -> bool:
    """Return whether a command takes effect up to a commit: its last part, or the last that comes."""
    known = feed_of_or_none(connection, feed)
    is_last = known is not None and known.forked is not None and seq == known.received
    if header.part == header.parts or is_last:
        return True
    after = _commit_at(connection, feed, seq + 1)
    return after is not None and not is_part(decode_header(after[1]), header, 1)


def _applied_to(connection: Connection, feed: log.Feed, seq: int) -> log.Feed:
    """Return a feed of which so much is applied, a branch at least up to where it begins."""
    if feed.trunk is not None:
        trunk = feed_at(connection, feed.trunk)
        if seq <= trunk.received:
            return feed._replace(applied=trunk.received, applied_hash=trunk.received_hash)
    found = connection.exec_driver_sql(
        "SELECT hash FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, seq)
    ).scalar()
    return feed._replace(applied=seq, applied_hash=found or NO_HASH)


def _pass_over(connection: Connection, feed: log.Feed, seq: int, now_ms: int) -> None:
    """Take the commits of a feed up to `seq` for applied, as their effect is here."""
    connection.exec_driver_sql(
        "UPDATE commit_log SET applied_at = coalesce(applied_at, ?), waits_for = NULL"
        " WHERE feed = ? AND seq > ? AND seq <= ?",
        (now_ms, feed.key, feed.applied, seq),
    )
    highest = connection.exec_driver_sql(
        "SELECT max(stamp) FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?",
        (feed.key, feed.applied, seq),
    ).scalar_one()
    log.put_feed(connection, _applied_to(connection, feed, seq))
    clock = meta.clock(connection).observe(Stamp.parse(highest), now_ms)
    meta.put_clock(connection, clock)
