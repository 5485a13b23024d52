"""The permanent memory of a record as bytes."""

from __future__ import annotations

import pytest

from leaderless.protocol.records import (
    decode_ref,
    decode_state,
    encode_deaths,
    encode_ref,
    encode_state,
    record_element,
)
from registry.changes import UNSET, Dot, Guard, WriteRef
from registry.hlc import Stamp
from registry.state import Death, RecordState, Write

ONE, TWO = Dot(b"a" * 44, 1), Dot(b"b" * 44, 7)
REF = WriteRef(Stamp(5, 0, 1), b"b" * 44, 9, 2)
STATE = RecordState(frozenset([ONE, TWO]), (Write("name", None, "x", REF, frozenset([ONE, TWO])),))


def test_a_state_survives_its_bytes() -> None:
    """Dots and writes come back as they were."""
    assert decode_state(encode_state(STATE)) == STATE


def test_what_one_change_wrote_survives_together() -> None:
    """Its writes have one name; on one dot, and on several."""
    (write,) = STATE.writes
    colored = write._replace(field="color")
    for dots in (frozenset([ONE]), STATE.dots):
        writes = tuple(item._replace(dots=dots) for item in (colored, write))
        assert decode_state(encode_state(RecordState(dots, writes))) == RecordState(dots, writes)


def test_a_settled_write_survives_its_bytes_with_and_without_a_guard() -> None:
    """That somebody has seen a write is remembered, beside the lock that it knew of or none."""
    guard = Guard(2, Stamp(4, 0, 1), b"b" * 44)
    for write in STATE.writes:
        for made in (write._replace(settled=True), write._replace(settled=True, guard=guard)):
            state = RecordState(STATE.dots, (made,))
            assert decode_state(encode_state(state)) == state


def test_a_dead_record_has_no_bytes_and_no_element() -> None:
    """Without a living dot nothing is stored or hashed."""
    assert encode_state(RecordState()) is None
    assert decode_state(None) == RecordState()
    assert record_element("tag", b"r" * 16, None) == 0


def test_the_element_tells_records_apart() -> None:
    """Equal states of two records add different elements."""
    packed = encode_state(STATE)
    assert record_element("tag", b"r" * 16, packed) != record_element("tag", b"s" * 16, packed)


def test_a_reference_survives_its_bytes() -> None:
    """The name of a write comes back from the journal."""
    assert decode_ref(encode_ref(REF)) == REF


@pytest.mark.parametrize("guard", [Guard(), Guard(3, Stamp(4, 0, 1), b"c" * 44)])
@pytest.mark.parametrize("settled", [False, True])
def test_a_write_keeps_its_guard_and_that_it_is_settled(guard: Guard, settled: bool) -> None:
    """Whichever of the two it has."""
    (write,) = STATE.writes
    state = RecordState(STATE.dots, (write._replace(guard=guard, settled=settled),))
    assert decode_state(encode_state(state)) == state


def test_what_a_record_died_of_stands_beside_the_state() -> None:
    """With what hung on the dots that died; several deletes come in one order."""
    deaths = [Death(REF, frozenset([ONE, TWO])), Death(REF._replace(seq=1), frozenset())]
    dead = RecordState(deaths=frozenset(deaths), remains=STATE.writes)
    packed = encode_deaths(deaths)
    assert packed == encode_deaths(deaths[::-1])
    assert decode_state(None, packed, encode_state(dead.remembered)) == dead


def test_a_record_that_died_of_nothing_has_nothing_beside_it() -> None:
    """And nothing is read from that."""
    assert encode_deaths([]) is None
    assert decode_state(encode_state(STATE), None, None) == STATE


def test_a_register_may_be_unset() -> None:
    """Which is no value, and not the empty one."""
    unset = RecordState(STATE.dots, tuple(write._replace(value=UNSET) for write in STATE.writes))
    assert decode_state(encode_state(unset)) == unset
