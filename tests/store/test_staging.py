"""The state of the records that is fetched: kept aside, gone on with, taken at once or not at all."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.messages import Records
from leaderless.protocol.transfer import cursor, encode_record
from leaderless.store import log, meta, shelf, staging
from leaderless.store.discarding import discard
from leaderless.store.fetched import read_staging
from leaderless.store.forgotten import want_state
from leaderless.store.holdings import read_holdings
from leaderless.store.record_source import read_records
from leaderless.store.staged import DisagreesError
from leaderless.store.staging import OutOfOrderError
from registry.changes import Create, Delete, Dependency, FeedId, Update
from registry.hlc import Stamp
from registry.state import RecordState
from tests.merge.devices import agreed, edit, feeds, key_in, meet, receive_all, take_state
from tests.replicas import Replica, open_replica, query_file
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within

TAGS = [bytes([at]) * 16 for at in range(1, 9)]
SOURCE = b"s" * 16
KEPT = "SELECT * FROM record ORDER BY uuid", "SELECT feed, applied FROM feed", "SELECT * FROM tag"


@pytest.fixture
def three(replicas: list[Replica]) -> list[Replica]:
    """Return devices of which the first has eight tags, and deleted one of them."""
    for tag in TAGS:
        edit(replicas[0], Create("tag", tag, {"canonical_name": "tag"}))
    edit(replicas[0], Delete("tag", TAGS[3]))
    return replicas


def batches(source: Replica, limit: int = 3) -> Iterator[Records]:
    """Yield what a source says of its records, each batch as of when it is asked for."""
    after, done = b"", False
    while not done:
        batch = within(source, lambda conn, after=after: read_records(conn, after, limit))  # type: ignore[misc]
        yield batch
        done = batch.done
        after = cursor(key_in(batch.records[-1])) if batch.records else after


def stage(target: Replica, batch: Records) -> bool:
    """Put a batch aside at a replica."""
    return within(target, lambda conn: staging.stage(conn, batch, SOURCE))


def kept(replica: Replica) -> list[list[tuple[object, ...]]]:
    """Return what staging is to leave alone."""
    return [query_file(replica.store.path, query) for query in KEPT]


def staged(replica: Replica) -> int:
    """Return how many records are put aside."""
    ((count,),) = query_file(replica.store.path, "SELECT count(*) FROM staged_record")
    return int(count)


def test_what_is_staged_takes_effect_with_the_headers(three: list[Replica]) -> None:
    """All at once; then nothing is left of it, and both devices are equal."""
    source, target, _ = three
    edit(target, Create("tag", b"own tag of ours!", {"canonical_name": "own"}))
    before = kept(target)
    for batch in batches(source):
        assert stage(target, batch)
    assert kept(target) == before
    assert not within(target, staging.is_whole)
    receive_all(source, target)
    taken = within(target, lambda conn: staging.take(conn, target.store.registry, 5))
    assert taken == staging.Taken(9, 9)
    assert (staged(target), within(target, read_staging)) == (0, None)
    receive_all(target, source)
    within(source, lambda conn: log.apply_ready(conn, source.store.registry, 5))
    assert agreed(target) == agreed(source)
    times = query_file(target.store.path, "SELECT applied_at, waits_for FROM commit_log")
    assert {waits for _, waits in times} == {None}
    assert all(at is not None for at, _ in times)


def test_a_kill_at_any_moment_costs_one_batch(three: list[Replica], tmp_path: Path) -> None:
    """What a copy of the file says is gone on with, after whatever batch it was made."""
    source, target, _ = three
    edit(target, Create("tag", b"own tag of ours!", {"canonical_name": "own"}))
    everything = list(batches(source, 2))
    for at in range(len(everything) + 1):
        copy = tmp_path / f"copy{at}.db"
        for suffix in ("", "-wal"):
            file = Path(f"{target.store.path}{suffix}")
            if file.exists():
                shutil.copy(file, f"{copy}{suffix}")
        back = open_replica(tmp_path, 1, target.clock.ms, copy.name)
        held = within(back, read_staging)
        assert (0 if held is None else held.count) == min(2 * at, 8)
        for batch in everything[at:]:
            assert stage(back, batch)
        receive_all(source, back)
        take_state(back)
        assert len(query_file(copy, "SELECT uuid FROM tag")) == 8
        back.store.close()
        if at < len(everything):
            assert stage(target, everything[at])
    within(target, discard)


def test_what_is_discarded_has_changed_nothing(three: list[Replica]) -> None:
    """And one that begins anew is as if there had been none before."""
    source, target, _ = three
    before = kept(target)
    for batch in batches(source):
        stage(target, batch)
    within(target, discard)
    assert (kept(target), staged(target), within(target, read_staging)) == (before, 0, None)
    first = next(batches(source))
    for _ in range(2):
        assert stage(target, first)
        assert staged(target) == 3


def test_only_what_follows_is_used(three: list[Replica]) -> None:
    """No batch twice, none that leaves something out, none without the first, none after the last."""
    source, target, _ = three
    first, second, third = batches(source)
    assert not stage(target, second)
    assert stage(target, first)
    assert not stage(target, third)
    assert stage(target, second)
    assert not stage(target, second)
    assert stage(target, third)
    assert not stage(target, replace(third, after=cursor(("tag", TAGS[7]))))
    assert staged(target) == 8


def test_another_source_goes_on_if_it_has_applied_as_much(three: list[Replica]) -> None:
    """What it has applied beyond the start is cut off; what it lacks makes it useless."""
    source, target, other = three
    first = next(batches(source))
    stage(target, first)
    rest = read_records_of(other, cursor(("tag", TAGS[2])))
    assert not stage(target, rest)
    meet(source, other)
    edit(other, Update("tag", TAGS[6], {"color": "red"}))
    edit(other, Create("tag", b"later than that!", {"canonical_name": "late"}))
    assert stage(target, read_records_of(other, cursor(("tag", TAGS[2]))))
    receive_all(source, target)
    assert not within(target, staging.is_whole)
    within(target, lambda conn: staging.take(conn, target.store.registry, 5))
    assert within(target, read_staging) is not None
    receive_all(other, target)
    take_state(target)
    meet(source, other)
    assert agreed(target) == agreed(other)


def read_records_of(replica: Replica, after: bytes) -> Records:
    """Return all records of a replica after a place."""
    return within(replica, lambda conn: read_records(conn, after))


def test_what_no_source_says_is_not_kept(three: list[Replica]) -> None:
    """Records in another order, or of more than the source had applied; nothing has changed then."""
    source, target, _ = three
    first, second, _ = batches(source)
    stage(target, first)
    with pytest.raises(OutOfOrderError):
        stage(target, replace(second, records=second.records[::-1]))
    with pytest.raises(MalformedError):
        stage(target, replace(second, as_of=first.as_of, records=(b"no record",)))
    beyond = encode_record(("tag", TAGS[7]), RecordState(), {})
    assert stage(target, replace(second, records=(*second.records, beyond)))
    assert staged(target) == 7
    with pytest.raises(OutOfOrderError):
        stage(target, replace(second, after=cursor(("tag", TAGS[7]))))


def test_a_part_of_a_command_is_no_start(three: list[Replica]) -> None:
    """A source that says that it had applied one is named."""
    source, target, _ = three
    many = [Create("tag", at.to_bytes(16, "big"), {"canonical_name": "x"}) for at in range(10_001)]
    edit(source, *many)
    feed = own_feed(source)
    reached = feeds(source)[feed]
    part = log_of(source, feed, reached - 2)[0].hash
    lie = Records(b"", {feed: reached - 1}, (), True, {feed: part})
    stage(target, lie)
    receive_all(source, target)
    with pytest.raises(DisagreesError) as caught:
        within(target, lambda conn: staging.take(conn, target.store.registry, 5))
    assert caught.value.source == SOURCE


def test_the_last_part_that_comes_is_a_start(three: list[Replica]) -> None:
    """Its author has signed something else behind it, which waits: more of the command is nowhere."""
    author, target, source = three
    *made, last = log_of(author, own_feed(author))
    made[-1] = signed_anew(author.identity, made[-1], parts=2)
    unknown = Dependency(FeedId(bytes(44)), 1, bytes(32))
    last = signed_anew(author.identity, last, dependencies=(unknown,))
    store_commits(source, *chained(author.identity, *made, last))
    assert feeds(source)[own_feed(author)] == len(made) + 1
    for batch in batches(source):
        assert stage(target, batch)
    receive_all(source, target)
    taken = within(target, lambda conn: staging.take(conn, target.store.registry, 5))
    assert taken == staging.Taken(8, 8)


def test_records_of_which_nothing_was_said_are_joined_too(three: list[Replica]) -> None:
    """What the source had applied and does not hold any more is gone; what it never knew stays."""
    source, target, _ = three
    for item in log_of(source, own_feed(source))[:4]:
        within(target, lambda conn, item=item: log.receive(conn, item, 5))  # type: ignore[misc]
    within(target, lambda conn: log.apply_ready(conn, target.store.registry, 5))
    edit(target, Create("tag", b"own tag of ours!", {"canonical_name": "own"}))
    edit(target, Update("tag", TAGS[3], {"color": "red"}))
    for batch in batches(source):
        stage(target, batch)
    within(
        target,
        lambda conn: conn.exec_driver_sql("DELETE FROM staged_record WHERE uuid = ?", (TAGS[0],)),
    )
    receive_all(source, target)
    take_state(target)
    names = {uuid for (uuid,) in query_file(target.store.path, "SELECT uuid FROM tag")}
    assert names == {*TAGS[1:3], *TAGS[4:], b"own tag of ours!"}
    lost = query_file(target.store.path, "SELECT record, field FROM journal")
    assert lost == [(TAGS[3], "color")]


def test_the_clock_goes_past_what_was_taken(three: list[Replica]) -> None:
    """As past every commit that is applied: what is written next is later."""
    source, target, _ = three
    source.clock.ms += 9_000
    edit(source, Update("tag", TAGS[0], {"color": "red"}))
    for batch in batches(source):
        stage(target, batch)
    receive_all(source, target)
    take_state(target)
    highest = max(
        stamp for (stamp,) in query_file(target.store.path, "SELECT stamp FROM commit_log")
    )
    assert within(target, meta.clock).ms >= Stamp.parse(highest).ms


def test_damaged_records_are_taken_from_a_peer_and_nothing_here_is_believed(
    three: list[Replica],
) -> None:
    """What was written here since the start comes again with the log."""
    source, target, _ = three
    meet(source, target)
    with closing(sqlite3.connect(target.store.path)) as connection, connection:
        connection.execute("UPDATE commit_log SET body = NULL")
        connection.execute("UPDATE record SET state = x'00' WHERE uuid = ?", (TAGS[0],))
        connection.execute("DELETE FROM record WHERE uuid = ?", (TAGS[1],))
        connection.execute("DELETE FROM tag")
    within(target, want_state)
    holdings = within(target, read_holdings)
    assert holdings.damaged
    assert holdings.state_digest() is None
    for batch in batches(source):
        stage(target, batch)
    edit(target, Create("tag", b"own tag of ours!", {"canonical_name": "own"}))
    take_state(target)
    meet(source, target)
    assert agreed(target) == agreed(source)
    assert len(agreed(target).tables["tag"]) == 8
    assert not within(target, read_holdings).damaged


def test_a_branch_that_the_source_did_not_know_begins_behind_its_fork(
    three: list[Replica],
) -> None:
    """Where nothing here is believed, it goes back to that, not to the start of the feed."""
    author, source, target = three
    meet(author, source, target)
    feed = own_feed(author)
    last = log_of(author, feed)[-1]
    others = [
        signed_anew(author.identity, last, command=command, dependencies=needs)
        for command, needs in (
            ("second", ()),
            ("third", (Dependency(FeedId(source.identity.device + feed[16:]), 5, b"h" * 32),)),
        )
    ]
    for device in (source, target):
        store_commits(device, others[0])
    with closing(sqlite3.connect(target.store.path)) as connection, connection:
        connection.execute("UPDATE commit_log SET body = NULL")
    within(target, want_state)
    for batch in batches(source):
        stage(target, batch)
    store_commits(target, others[1])
    take_state(target)
    third = next(held for held in within(target, log.feeds) if held.received_hash == others[1].hash)
    assert (third.applied, third.received) == (8, 9)
    assert third.applied_hash == last.header.previous
    assert [item.seq for item in within(target, shelf.waiting)] == [9]


def test_a_branch_of_which_nothing_has_taken_effect_is_in_no_start(three: list[Replica]) -> None:
    """A source with such a branch on its shelf can be asked like any other."""
    author, source, target = three
    meet(author, source)
    feed = own_feed(author)
    needs = (Dependency(FeedId(target.identity.device + feed[16:]), 5, b"h" * 32),)
    made = log_of(author, feed)
    late = signed_anew(author.identity, made[-1], command="late", dependencies=needs)
    store_commits(source, late)
    within(target, lambda conn: [log.receive(conn, item, 0) for item in (*made, late)])
    for batch in batches(source):
        assert stage(target, batch)
    taken = within(target, lambda conn: staging.take(conn, target.store.registry, 5))
    assert taken == staging.Taken(8, 9)
    assert sorted(held.applied for held in within(target, log.feeds)) == [8, 8, 9]
