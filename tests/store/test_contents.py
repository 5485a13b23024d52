"""A state of the records held against the commits that are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from leaderless.store.contents import KEPT_BYTES, READ_BYTES, Contents
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


def _state_in(connection: Connection, replica: Replica, record: bytes) -> RecordState:
    return Records(connection, replica.store.registry, 0).state("tag", record)


def _state(replica: Replica, record: bytes = TAG) -> RecordState:
    return within(replica, lambda conn: _state_in(conn, replica, record))


@pytest.fixture
def author(replicas: list[Replica]) -> Replica:
    """Return a device that made a tag, changed it, and made and deleted another one."""
    author = replicas[0]
    edit(author, Create("tag", TAG, {"color": "red"}), Create("tag", OTHER, {}))
    edit(author, Update("tag", TAG, {"color": "blue", ("aliases", "sea"): True}))
    edit(author, Delete("tag", OTHER))
    return author


def _found(
    author: Replica,
    memory: Memory,
    key: tuple[str, bytes] = KEY,
    read_bytes: int = READ_BYTES,
) -> Dot | None:
    """Return the commit that is not as a memory says."""

    def look(conn):  # noqa: ANN001, ANN202
        known = {feed: at for feed, at in conn.exec_driver_sql("SELECT feed, id FROM feed")}
        contents = Contents(conn, known, read_bytes)
        wrong = contents.contradicted({key: memory})
        assert read_bytes < READ_BYTES or contents.contradicted({key: memory}) == wrong
        return wrong

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


def test_no_more_is_read_than_there_is_time_for(author: Replica) -> None:
    """Headers have to do for the rest, as they do for what is forgotten."""
    memory = _memory(author, _with_value("green"))
    assert _found(author, memory, read_bytes=0) is None
    assert _found(author, memory, read_bytes=1) is None
    assert _found(author, memory, read_bytes=READ_BYTES - 1) is not None


def test_what_is_kept_for_the_next_records_is_bounded(author: Replica) -> None:
    """What was read longest ago goes first; it is read again."""
    large = {"color": "x" * (KEPT_BYTES // 32)}
    tags = [bytes([at]) * 16 for at in range(40, 80)]
    for tag in tags:
        edit(author, Create("tag", tag, large))

    def look(conn):  # noqa: ANN001, ANN202
        known = {feed: at for feed, at in conn.exec_driver_sql("SELECT feed, id FROM feed")}
        contents = Contents(conn, known)
        found = {("tag", tag): Memory(_state_in(conn, author, tag), {}, {}) for tag in tags}
        return [contents.contradicted(found) for _ in range(2)], contents._kept_bytes

    wrong, kept_bytes = within(author, look)
    assert wrong == [None, None]
    assert 0 < kept_bytes <= KEPT_BYTES
