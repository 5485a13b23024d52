"""One user action as signed commits."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.errors import UsageError
from leaderless.protocol import commits, limits
from leaderless.protocol.packing import items_within
from leaderless.store.command import reckoned_bytes
from registry.changes import (
    Create,
    Delete,
    Dot,
    Edit,
    FieldWrite,
    Form,
    Lock,
    RecordId,
    Restore,
    SharedChange,
    Update,
    WriteRef,
)
from registry.hlc import Stamp
from tests.replicas import Replica, query_file
from tests.store.passing import log_of, own_feed, store_commits

TAGS = "SELECT uuid, color FROM tag ORDER BY uuid"
SHARED_HASH = "SELECT value FROM meta WHERE name = 'shared_hash'"

_TEXTS = st.text(max_size=20)
_FEEDS = st.binary(min_size=44, max_size=44)
_SEQS = st.integers(1, (1 << 62) - 1)
_REFS = st.builds(
    WriteRef,
    st.builds(Stamp, st.integers(0, (1 << 47) - 1), st.integers(0, (1 << 26) - 1), st.just(7)),
    _FEEDS,
    _SEQS,
    st.integers(0, 9_999),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats()
    | _TEXTS | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
_WRITES = st.builds(
    FieldWrite, _TEXTS, st.none() | _TEXTS, _VALUES, st.lists(_REFS, max_size=4).map(tuple)
)
_CHANGES = st.builds(
    SharedChange,
    st.sampled_from(Form),
    _TEXTS,
    st.binary(min_size=16, max_size=16).map(RecordId),
    st.lists(st.builds(Dot, _FEEDS, _SEQS), max_size=4).map(tuple),
    st.lists(_WRITES, max_size=4).map(tuple),
    st.lists(_REFS, max_size=4).map(tuple),
)


@given(_CHANGES)
def test_a_change_is_never_larger_than_it_was_reckoned(change: SharedChange) -> None:
    """So a part that seems to fit does, and what seems small is within a decoder's bounds."""
    assert len(commits.encode_body([change])) <= reckoned_bytes(change)


@given(_CHANGES)
def test_a_part_within_its_bytes_has_no_more_items_than_a_commit_may(change: SharedChange) -> None:
    """Lists and maps are reckoned by what they hold: long ones travel in more parts."""
    items = len(change.dots) + len(change.seen) + len(change.writes)
    items += sum(len(write.over) + items_within(write.value) for write in change.writes)
    assert items * limits.MAX_BODY_BYTES * 3 // 4 <= reckoned_bytes(change) * limits.MAX_ITEMS


def _uuid(at: int) -> bytes:
    return at.to_bytes(16, "big")


def _create(count: int, start: int = 1) -> Iterator[Edit]:
    return (Create("tag", _uuid(at), {"color": "red"}) for at in range(start, start + count))


def _commit(replica: Replica, edits: Iterator[Edit]) -> None:
    replica.clock.ms += 1
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def test_an_action_in_parts_takes_effect_here_as_it_does_at_a_peer(replicas: list[Replica]) -> None:
    """Creates, edits and deletes over the border of a part: equal tables and equal hashes."""
    a, b, _ = replicas
    many = limits.MAX_CHANGES
    _commit(a, _create(many))
    later: list[Edit] = [Update("tag", _uuid(at), {"color": "blue"}) for at in range(1, many, 2)]
    later += [Delete("tag", _uuid(at)) for at in range(2, many, 2)]
    _commit(a, iter([*later, *_create(2, start=many + 1)]))
    for after in range(3):
        store_commits(b, *log_of(a, own_feed(a), after)[:1])
    for query in (TAGS, SHARED_HASH):
        assert query_file(a.store.path, query) == query_file(b.store.path, query)
    assert query_file(b.store.path, "SELECT count(*) FROM tag") == [(many // 2 + 3,)]


def test_an_edit_that_fails_in_a_later_part_undoes_the_first(replica: Replica) -> None:
    """A part that has taken effect is nothing without the others."""
    before = query_file(replica.store.path, SHARED_HASH)

    def edits() -> Iterator[Edit]:
        yield from _create(limits.MAX_CHANGES)
        yield Update("tag", bytes(16), {"color": "red"})

    with pytest.raises(UsageError):
        _commit(replica, edits())
    counts = "SELECT (SELECT count(*) FROM tag), (SELECT count(*) FROM record)"
    assert query_file(replica.store.path, counts) == [(0, 0)]
    assert query_file(replica.store.path, SHARED_HASH) == before


def test_a_link_in_an_earlier_part_shows_what_a_later_one_makes(replica: Replica) -> None:
    """The parts of an action are one: in which of them its ends are does not matter."""

    def edits() -> Iterator[Edit]:
        link = {"item": _uuid(1), "scope": "entry", "tag": _uuid(1 << 20)}
        yield Create("user_metadata_tag", _uuid(5), link)
        yield from _create(limits.MAX_CHANGES)
        yield Create("tag", _uuid(1 << 20))

    _commit(replica, edits())
    found = query_file(replica.store.path, "SELECT tag FROM user_metadata_tag")
    assert found == [(_uuid(1 << 20),)]


def test_the_parts_of_an_action_rise_in_time(replica: Replica) -> None:
    """Stamps rise within a feed, also where one part replaces what another device has written."""
    _commit(replica, _create(limits.MAX_CHANGES + 1))
    stamps = query_file(replica.store.path, "SELECT stamp FROM commit_log ORDER BY seq")
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 2


def test_what_is_said_once_more_comes_right_behind_that(replica: Replica) -> None:
    """Before all that was said since, each with its own time; a clock that is ahead sets none."""
    _commit(replica, _create(1))
    (made,) = log_of(replica, own_feed(replica))
    first = made.header.stamp
    replica.clock.ms += 5_000
    ahead = first._replace(ms=replica.clock.ms + 60_000)
    stamps = (first, first._replace(ms=first.ms + 1_000), ahead)
    colors = [{"color": color} for color in ("red", "blue", "black")]
    edits = [
        Update("tag", _uuid(1), fields, as_of=as_of)
        for fields, as_of in zip(colors, stamps, strict=True)
    ]
    _commit(replica, iter([Create("tag", _uuid(2), {}), *edits]))
    found = [item.header.stamp for item in log_of(replica, own_feed(replica))]
    assert found[2] == first.successor(first.tag)
    assert (found[3].ms, found[4].ms) == (first.ms + 1_000, replica.clock.ms)
    with pytest.raises(UsageError, match="twice"):
        _commit(replica, iter([edits[0], edits[0]]))


def _stamps_over_a_clock_ahead(replicas: list[Replica], *commits: Iterator[Edit]) -> list[Stamp]:
    """Return the stamps of commits that replace what was written at one time of the next day."""
    ahead, device, _ = replicas
    ahead.clock.ms += 86_400_000
    _commit(ahead, _create(3))
    store_commits(device, *log_of(ahead, own_feed(ahead)))
    for edits in commits:
        _commit(device, edits)
    made = log_of(device, own_feed(device))
    assert {item.header.stamp.ms for item in made} == {ahead.clock.ms}
    return [item.header.stamp for item in made]


def test_no_two_commits_of_a_device_have_one_stamp(replicas: list[Replica]) -> None:
    """Though each replaces a value of the same stamp: a lock is known by its stamp."""
    edits = (iter([Update("tag", _uuid(at), {"color": "blue"})]) for at in (1, 2, 3))
    stamps = _stamps_over_a_clock_ahead(replicas, *edits)
    assert sorted(set(stamps)) == stamps


def test_no_two_parts_of_an_action_have_one_stamp(replicas: list[Replica]) -> None:
    """Each replaces a value of the same stamp, and neither is in the log yet."""
    first, last = (Update("tag", _uuid(at), {"color": "blue"}) for at in (1, 2))
    edits = itertools.chain([first], _create(limits.MAX_CHANGES - 1, start=4), [last])
    stamps = _stamps_over_a_clock_ahead(replicas, edits)
    assert sorted(set(stamps)) == stamps
    assert len(stamps) == 2


def test_an_action_needs_memory_for_one_part(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times as many files need little more than the bodies that are to be signed."""
    monkeypatch.setattr(limits, "MAX_CHANGES", 1_000)
    peaks = []
    for start, parts in ((1, 2), (1 << 20, 8)):
        tracemalloc.start()
        _commit(replica, _create(parts * limits.MAX_CHANGES, start))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_a_value_that_no_other_device_would_take_is_refused(replica: Replica) -> None:
    """Bodies that are valid by how they were made are not read again; all others are."""
    text = "x" * (limits.MAX_HEAD_BYTES + 1)
    with pytest.raises(UsageError, match="no other device would take this"):
        _commit(replica, iter([Create("tag", _uuid(1), {"description": text})]))


def _write(replica: Replica, *edits: Edit) -> None:
    _commit(replica, iter(edits))


def _grown(replica: Replica) -> None:
    """Make a tag that holds more than one change may."""
    _write(replica, Create("tag", _uuid(1), {"canonical_name": "trip"}))
    for key in "abc":
        _write(replica, Update("tag", _uuid(1), {("attributes", key): "x" * 100_000}))


@pytest.mark.parametrize("keys", [1, 2_000], ids=["one long value", "many short ones"])
def test_a_write_that_no_device_would_take_is_refused_with_its_size(
    replica: Replica, keys: int
) -> None:
    """The record is named, and where to look."""
    _write(replica, Create("tag", _uuid(1), {"canonical_name": "trip"}))
    fields = {("attributes", str(at)): "x" * (280_000 // keys) for at in range(keys)}
    with pytest.raises(UsageError, match=r"tag “trip” needs \d{3},\d{3} bytes") as caught:
        _write(replica, Update("tag", _uuid(1), fields))
    assert f"record show tag {_uuid(1).hex()}" in str(caught.value.hint)


def test_a_record_that_is_too_large_for_one_change_is_not_locked(replica: Replica) -> None:
    """A lock writes all its values anew."""
    _grown(replica)
    with pytest.raises(UsageError, match="tag “trip” needs 300,"):
        _write(replica, Lock("tag", _uuid(1)))


def test_a_record_that_is_too_large_for_one_change_is_not_restored(replica: Replica) -> None:
    """A restore writes all its values anew, too; it stays deleted and its values stay known."""
    _grown(replica)
    _write(replica, Delete("tag", _uuid(1)))
    with pytest.raises(UsageError, match="bytes in one change"):
        _write(replica, Restore("tag", _uuid(1)))
