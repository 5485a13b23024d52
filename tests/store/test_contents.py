"""A state of the records held against the commits that are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from leaderless.store.contents import contradicted
from leaderless.store.registers import Records
from registry.changes import Create, Delete, Dot, Update
from registry.hlc import Stamp
from registry.joining import Memory
from registry.state import Death, RecordState
from tests.merge.devices import edit, feeds
from tests.replicas import Replica
from tests.store.passing import own_feed, within

TAG, OTHER = b"t" * 16, b"o" * 16
KEY = "tag", TAG

Lie = Callable[[RecordState], RecordState]


def _state(replica: Replica, record: bytes = TAG) -> RecordState:
    def read(tx):  # noqa: ANN001, ANN202
        records = Records(tx.conn, tx.registry, tx.now_ms)
        return records.state("tag", record)

    return replica.store.write_here(read)


@pytest.fixture
def author(replicas: list[Replica]) -> Replica:
    """Return a device that made a tag, changed it, and made and deleted another one."""
    author = replicas[0]
    edit(author, Create("tag", TAG, {"color": "red"}), Create("tag", OTHER, {}))
    edit(author, Update("tag", TAG, {"color": "blue", ("aliases", "sea"): True}))
    edit(author, Delete("tag", OTHER))
    return author


def _found(author: Replica, memory: Memory, key: tuple[str, bytes] = KEY) -> Dot | None:
    """Return the commit that is not as a memory says."""

    def look(conn):  # noqa: ANN001, ANN202
        known = {feed: at for feed, at in conn.exec_driver_sql("SELECT feed, id FROM feed")}
        return contradicted(conn, known, {key: memory})

    wrong = within(author, look)
    return None if wrong is None else wrong[1]


def _memory(author: Replica, lie: Lie = lambda state: state) -> Memory:
    return Memory(lie(_state(author)), {}, feeds(author))


def test_what_the_commits_said_is_believed(author: Replica) -> None:
    """Of records that live, and of those that were deleted."""
    assert _found(author, _memory(author)) is None
    deleted = Memory(_state(author, OTHER), {}, feeds(author))
    assert deleted.state.deaths
    assert _found(author, deleted, ("tag", OTHER)) is None


def _with_value(value: object) -> Lie:
    return lambda state: replace(
        state, writes=tuple(write._replace(value=value) for write in state.writes)
    )


def _at(**named: int) -> Lie:
    return lambda state: replace(
        state,
        writes=tuple(write._replace(ref=write.ref._replace(**named)) for write in state.writes),
    )


def _of_another_field(state: RecordState) -> RecordState:
    return replace(state, writes=tuple(write._replace(field="icon") for write in state.writes))


def _died(state: RecordState) -> RecordState:
    return replace(state, deaths=frozenset({Death(state.writes[0].ref, frozenset())}))


def _made_elsewhere(state: RecordState) -> RecordState:
    (dot,) = state.dots
    return replace(state, dots=frozenset({dot._replace(seq=2)}))


@pytest.mark.parametrize(
    "lie",
    [
        _with_value("green"),
        _with_value(1),
        _at(place=1),
        _at(seq=1),
        _at(seq=9),
        _of_another_field,
        _died,
        _made_elsewhere,
    ],
    ids=["value", "number", "place", "commit", "no commit", "field", "delete", "maker"],
)
def test_what_a_commit_did_not_say_is_found(author: Replica, lie: Lie) -> None:
    """Another value, place, field or record, a delete or a maker that is none."""
    assert _found(author, _memory(author, lie)) is not None


def test_a_record_that_a_commit_says_nothing_of_is_found(author: Replica) -> None:
    """What was said of one is not said of another."""
    assert _found(author, _memory(author), ("tag", b"x" * 16)) is not None


def test_a_lost_value_is_held_against_its_commit_as_well(author: Replica) -> None:
    """A loss that nobody wrote would be offered to people."""
    state = _state(author)
    ref = state.writes[0].ref._replace(seq=1, place=0)
    with author.store._writer.begin() as connection:
        stamp = connection.exec_driver_sql(
            "SELECT stamp FROM commit_log WHERE seq = 1"
        ).scalar_one()
    ref = ref._replace(stamp=Stamp.parse(stamp))
    for value, is_right in (("red", True), ("pink", False)):
        memory = Memory(state, {(("color", None), ref): value}, feeds(author))
        assert (_found(author, memory) is None) == is_right


def test_of_a_forgotten_commit_only_the_header_tells(author: Replica) -> None:
    """Its stamp is signed, and that it is there; what it had said nobody knows."""
    within(author, lambda conn: conn.exec_driver_sql("UPDATE commit_log SET body = NULL"))
    assert _found(author, _memory(author, _with_value("green"))) is None
    assert _found(author, _memory(author, _at(seq=1))) == Dot(own_feed(author), 1)
    assert _found(author, _memory(author, _at(seq=9))) == Dot(own_feed(author), 9)
