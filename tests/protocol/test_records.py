"""The permanent memory of a record as bytes."""

from __future__ import annotations

from leaderless.protocol.records import (
    decode_ref,
    decode_state,
    encode_ref,
    encode_state,
    record_element,
)
from registry.changes import Dot, WriteRef
from registry.hlc import Stamp
from registry.merge import RecordState, Write

ONE, TWO = Dot(b"a" * 44, 1), Dot(b"b" * 44, 7)
REF = WriteRef(Stamp(5, 0, 1), b"b" * 44, 9, 2)
STATE = RecordState(frozenset([ONE, TWO]), (Write("name", None, "x", REF, frozenset([ONE, TWO])),))


def test_a_state_survives_its_bytes() -> None:
    """Dots and writes come back as they were."""
    assert decode_state(encode_state(STATE)) == STATE


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
