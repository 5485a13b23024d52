"""Positions in stored bytes, held against those of the objects that were packed."""

from __future__ import annotations

from leaderless.protocol.commits import encode_body
from leaderless.protocol.records import encode_deaths, encode_state
from leaderless.protocol.traces import in_record, replaced_by
from registry.changes import UNSET, Dot, FieldWrite, Form, Guard, RecordId, SharedChange, WriteRef
from registry.hlc import Stamp
from registry.state import Death, RecordState, Write

ANNA, BEN = b"a" * 44, b"b" * 44
STAMP = Stamp(1_000, 0, 0)


def _ref(feed: bytes, seq: int) -> WriteRef:
    return WriteRef(STAMP, feed, seq, 0)


def _state() -> RecordState:
    dots = frozenset([Dot(ANNA, 1), Dot(BEN, 2)])
    guard = Guard(1, STAMP, BEN)
    writes = (
        Write("color", None, UNSET, _ref(ANNA, 3), dots),
        Write("size", None, [1], _ref(BEN, 4), dots, guard, settled=True),
    )
    return RecordState(dots, writes)


def test_a_record_speaks_of_its_dots_and_writes() -> None:
    """Whatever their values are, and whether they are settled or guarded."""
    found = set(in_record(encode_state(_state()), None, None))
    assert found == {(ANNA, 1), (BEN, 2), (ANNA, 3), (BEN, 4)}


def test_a_dead_record_speaks_of_its_deaths_and_of_what_a_restore_brings_back() -> None:
    """Deletes are named with the dots that they took."""
    deaths = encode_deaths([Death(_ref(BEN, 9), frozenset([Dot(ANNA, 7)]))])
    assert set(in_record(None, deaths, None)) == {(BEN, 9), (ANNA, 7)}
    assert (ANNA, 3) in set(in_record(None, deaths, encode_state(_state())))


def test_a_body_speaks_of_what_it_replaced_and_has_seen() -> None:
    """Not of the dots that its changes hang on: nothing of those is lost."""
    dots = frozenset([Dot(ANNA, 1)])
    update = SharedChange(
        Form.UPDATE,
        "tag",
        RecordId(b"t" * 16),
        dots,
        (FieldWrite("color", None, UNSET, (_ref(ANNA, 3), _ref(BEN, 4))),),
    )
    delete = SharedChange(Form.DELETE, "tag", RecordId(b"u" * 16), dots, (), (_ref(BEN, 5),))
    assert list(replaced_by(encode_body([update, delete]))) == [(ANNA, 3), (BEN, 4), (BEN, 5)]
