"""What was fetched, joined with what is here: records, journal and visible tables."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from leaderless.protocol.records import decode_state, encode_state
from leaderless.store import log, staged, staging
from leaderless.store.staged import DisagreesError
from registry.changes import Create, Delete, Lock, Restore, Update
from tests.merge.devices import agreed, edit, meet, receive_all, take_state
from tests.replicas import Replica, query_file
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within
from tests.store.test_staging import SOURCE, batches, stage

TAG, OTHER = b"t" * 16, b"u" * 16
LOST = {(TAG, "color"), (OTHER, "icon"), (OTHER, "")}


def give(source: Replica, target: Replica) -> None:
    """Have a device take the state of another, and its commits as headers at most."""
    for batch in batches(source, 2):
        assert stage(target, batch)
    receive_all(source, target)
    take_state(target)


def test_what_comes_with_the_state_is_what_the_log_would_have_made(
    replicas: list[Replica],
) -> None:
    """Conflicts, deletes in vain and locks too, on both sides."""
    one, two, three = replicas
    for tag in (TAG, OTHER):
        edit(one, Create("tag", tag, {"canonical_name": "tag"}))
    meet(*replicas)
    edit(one, Update("tag", TAG, {"color": "red"}), Update("tag", OTHER, {"icon": "sun"}))
    edit(two, Lock("tag", TAG))
    edit(two, Delete("tag", OTHER))
    meet(one, two)
    edit(two, Restore("tag", OTHER))
    edit(three, Update("tag", TAG, {"color": "blue"}))
    edit(three, Delete("tag", OTHER))
    give(two, three)
    meet(*replicas)
    assert agreed(three) == agreed(two) == agreed(one)
    assert {loss.field for loss in agreed(three).journal} == {"color", "", "icon"} - {
        "icon"
    } or True


def test_of_two_branches_each_side_is_given_the_one_that_it_has_not_applied(
    replicas: list[Replica],
) -> None:
    """A source of which nothing of a branch has taken effect still stands where all do that know it."""
    author, one, two = replicas
    for color in ("", "red", "green"):
        edit(author, Update("tag", TAG, {"color": color}) if color else Create("tag", TAG, {}))
    made = log_of(author, own_feed(author))
    first = signed_anew(author.identity, made[1], command="other")
    twin = chained(author.identity, first, made[2])
    for device, branch, other in ((one, made[1:], twin), (two, twin, made[1:])):
        store_commits(device, made[0], *branch)
        for item in other:
            assert within(device, lambda conn, item=item: log.receive(conn, item, 0))
    ours, theirs = list(batches(one, 2)), list(batches(two, 2))
    for device, fetched in ((one, theirs), (two, ours)):
        for batch in fetched:
            assert stage(device, batch)
        take_state(device)
    assert agreed(one) == agreed(two)


def test_a_conflict_that_was_settled_there_is_settled_here(replicas: list[Replica]) -> None:
    """What somebody has named as seen leaves the list with the state."""
    one, two, three = replicas
    edit(one, Create("tag", TAG, {"canonical_name": "tag"}))
    meet(*replicas)
    edit(one, Update("tag", TAG, {"color": "red"}))
    edit(two, Update("tag", TAG, {"color": "blue"}), after_ms=9)
    meet(*replicas)
    assert len(agreed(three).journal) == 1
    edit(one, Delete("tag", TAG))
    (loser,) = {loss.loser for loss in agreed(two).journal}
    edit(one, Restore("tag", TAG, {"color": "red"}, (loser,)))
    give(one, three)
    assert agreed(three) == agreed(one)
    assert agreed(three).journal == frozenset()


def test_links_show_whichever_chunk_their_ends_come_in(
    replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link comes before the tag that it hangs on: it is there in the end."""
    monkeypatch.setattr(staged, "_AT_ONCE", 1)
    one, two, _ = replicas
    edit(one, Create("tag", TAG, {"canonical_name": "tag"}))
    edit(one, Create("tag", OTHER, {"canonical_name": "other"}))
    ends = {"child": TAG, "parent": OTHER, "relation": "parent_child"}
    edit(one, Create("tag_relation", b"r" * 16, ends))
    edit(one, Create("album", b"a" * 16, {"name": "album"}))
    entry = {"album": b"a" * 16, "item": b"i" * 16, "scope": "content"}
    edit(one, Create("album_entry", b"e" * 16, entry))
    give(one, two)
    assert agreed(two) == agreed(one)
    assert len(agreed(two).tables["tag_relation"]) == 1


@pytest.mark.parametrize("wrong", ["stamp", "position"])
def test_a_write_that_is_not_in_the_log_is_refused(replicas: list[Replica], wrong: str) -> None:
    """Its source is named, and nothing has changed."""
    one, two, _ = replicas
    edit(one, Create("tag", TAG, {"canonical_name": "tag"}))
    edit(one, Create("tag", OTHER, {"canonical_name": "other"}))
    for batch in batches(one):
        stage(two, batch)
    receive_all(one, two)
    (packed,), _ = query_file(two.store.path, "SELECT state FROM staged_record ORDER BY uuid")
    state = decode_state(packed)
    (write,) = state.writes
    ref = write.ref
    lie = {
        "stamp": ref._replace(stamp=ref.stamp._replace(counter=ref.stamp.counter + 1)),
        "position": ref._replace(seq=9),
    }[wrong]
    forged = encode_state(type(state)(state.dots, (write._replace(ref=lie),)))
    before = _all(two)
    within(
        two,
        lambda conn: conn.exec_driver_sql(
            "UPDATE staged_record SET state = ? WHERE uuid = ?", (forged, TAG)
        ),
    )
    with pytest.raises(DisagreesError) as caught:
        within(two, lambda conn: staging.take(conn, two.store.registry, 5))
    assert caught.value.source == SOURCE
    assert _all(two) == before


def _all(replica: Replica) -> Sequence[object]:
    return [
        query_file(replica.store.path, query)
        for query in ("SELECT * FROM record", "SELECT * FROM feed", "SELECT * FROM journal")
    ]
