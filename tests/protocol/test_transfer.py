"""The state of a record on its way: it arrives as it was, and no other shape is taken."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.protocol import limits
from leaderless.protocol.errors import MalformedError, ProtocolError
from leaderless.protocol.packing import pack
from leaderless.protocol.transfer import cursor, decode_record, encode_record, place
from registry.changes import LOCK_FIELD, UNSET, Dot, FieldKey, Guard, Value, WriteRef
from registry.hlc import Stamp
from registry.state import Death, RecordState, Write

FEED, OTHER = b"f" * 44, b"g" * 44
DOT, DEAD = Dot(FEED, 1), Dot(OTHER, 2)
STAMP = Stamp(5, 1, 7)
REF = WriteRef(STAMP, FEED, 1, 0)
GUARD = Guard(2, STAMP, OTHER)
STATE = RecordState(
    frozenset([DOT]),
    (
        Write(LOCK_FIELD, None, True, REF, frozenset([DOT]), GUARD),
        Write("aliases", "sea", UNSET, REF, frozenset([DOT]), settled=True),
        Write("name", None, {"k": [1, None]}, REF, frozenset([DOT])),
    ),
    frozenset([Death(REF._replace(place=1), frozenset([DEAD]))]),
    (Write("name", None, "old", REF._replace(feed=OTHER, seq=3), frozenset([DEAD])),),
)
LOSSES: dict[tuple[FieldKey, WriteRef], Value] = {
    (("color", None), REF._replace(place=3)): "red",
    (("attributes", "k"), REF._replace(place=4)): None,
}
KEY = ("tag", b"r" * 16)
AS_OF = {FEED: 1, OTHER: 3}


def _packed(head: list[Any], *items: list[Any]) -> bytes:
    return b"".join(map(pack, (head, *items)))


HEAD: list[Any] = ["tag", b"r" * 16, [FEED], [[0, 1]]]
RAW_REF: list[Any] = [STAMP.pack(), 0, 1, 0]


def _write(**changed: Any) -> list[Any]:
    fields: dict[str, Any] = {
        "kind": 0,
        "field": "name",
        "subkey": None,
        "value": "x",
        "ref": RAW_REF,
        "dots": [[0, 1]],
        "guard": None,
        "settled": 0,
    }
    return list({**fields, **changed}.values())


def test_a_record_arrives_as_it_was() -> None:
    """Dots, writes, deletes and losses; of what is in effect, too, it is known who named it."""
    key, memory = decode_record(encode_record(KEY, STATE, LOSSES), AS_OF)
    assert (key, memory.state, memory.vector) == (KEY, STATE, AS_OF)
    assert memory.losses == LOSSES
    assert set(memory.unseen) == {*LOSSES, ((LOCK_FIELD, None), REF)}


def test_a_record_of_which_nothing_is_left_travels_too() -> None:
    """It says that all that the other side knows of it was taken away."""
    key, memory = decode_record(encode_record(KEY, RecordState(), {}), AS_OF)
    assert (key, memory.state, memory.unseen) == (KEY, RecordState(), {})


def test_a_place_among_the_records_names_the_last_one() -> None:
    """The empty place is before all; a place that is none is refused."""
    assert place(cursor(KEY)) == KEY
    assert place(b"") == ("", b"")
    with pytest.raises(MalformedError):
        place(bytes(16) + b"\xff")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        _packed(["", b"r" * 16, [], []]),
        _packed([5, b"r" * 16, [], []]),
        _packed(["t" * 300, b"r" * 16, [], []]),
        _packed(["tag", b"short", [], []]),
        _packed(["tag", "r" * 16, [], []]),
        _packed(["tag", b"r" * 16, [b"short"], []]),
        _packed(["tag", b"r" * 16, [5], []]),
        _packed(["tag", b"r" * 16, [FEED], [[1, 1]]]),
        _packed(["tag", b"r" * 16, [FEED], [[-1, 1]]]),
        _packed(["tag", b"r" * 16, [FEED], [[0, 2]]]),
        _packed(["tag", b"r" * 16, [FEED], [[0, 0]]]),
        _packed(["tag", b"r" * 16, [b"h" * 44], [[0, 1]]]),
        _packed(HEAD, [4, 5]),
        _packed(HEAD, _write(kind=5)),
        _packed(HEAD, _write(settled=2)),
        _packed(HEAD, _write(field="")),
        _packed(HEAD, _write(field=b"name")),
        _packed(HEAD, _write(subkey="")),
        _packed(HEAD, _write(subkey=5)),
        _packed(HEAD, _write(value=[UNSET])),
        _packed(HEAD, _write(value={"k": {"l": UNSET}})),
        _packed(HEAD, _write(dots=[])),
        _packed(HEAD, _write(kind=1)),
        _packed(HEAD, _write(ref=[b"short", 0, 1, 0])),
        _packed(HEAD, _write(ref=[STAMP.pack(), 0, 1, -1])),
        _packed(HEAD, _write(ref=[STAMP.pack(), 0, 9, 0])),
        _packed(HEAD, _write(guard=[0, STAMP.pack(), 0])),
        _packed(HEAD, _write(guard=[1 << 21, STAMP.pack(), 0])),
        _packed(HEAD, [2, RAW_REF, [[0, 1]]]),
        _packed(["tag", b"r" * 16, [FEED], []], *[[2, RAW_REF, [[0, 1]]]] * 1, [2, RAW_REF, []]),
        _packed(HEAD, [3, "name", None, "x", [STAMP.pack(), 0, 2, 0]]),
        _packed(HEAD) + pack(["x" * limits.MAX_HEAD_BYTES]),
    ],
)
def test_what_no_source_says_is_refused(data: bytes) -> None:
    """With an error of the protocol, whatever is wrong with it."""
    with pytest.raises(ProtocolError):
        decode_record(data, {FEED: 1})


def test_a_record_holds_no_more_than_a_record_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the bytes are that say so."""
    monkeypatch.setattr(limits, "MAX_ITEMS", 40)
    small = _packed(HEAD, _write(value=[None] * 10))
    assert decode_record(small, {FEED: 1})[0] == KEY
    with pytest.raises(MalformedError):
        decode_record(_packed(HEAD, _write(value=[None] * 200)), {FEED: 1})
