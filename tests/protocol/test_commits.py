"""Commits as bytes, and what makes one invalid for everyone."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from leaderless.protocol import limits
from leaderless.protocol.commits import (
    DOMAIN,
    decode_body,
    decode_header,
    encode_body,
    encode_header,
    names_others,
    positions,
    signed_part,
)
from leaderless.protocol.errors import InvalidCommitError
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import items_within, pack, unpack
from registry.changes import (
    MAX_GUARD,
    UNSET,
    CommitHeader,
    CommitKind,
    Dependency,
    Dot,
    FeedId,
    FieldWrite,
    Form,
    Guard,
    Position,
    RecordId,
    SharedChange,
    WriteRef,
)
from registry.hlc import CEILING_MS, Stamp

FEED = FeedId(b"f" * 44)
OTHER = b"g" * 44
REF = WriteRef(Stamp(5, 1, 2), OTHER, 3, 0)
CHANGES = (
    SharedChange(
        Form.CREATE,
        "tag",
        RecordId(b"r" * 16),
        writes=(FieldWrite("name", None, "x"), FieldWrite("set", "k", value=True)),
    ),
    SharedChange(
        Form.UPDATE,
        "tag",
        RecordId(b"s" * 16),
        (Dot(OTHER, 3),),
        (FieldWrite("name", None, {"a": [1]}, (REF,)),),
    ),
    SharedChange(Form.DELETE, "tag", RecordId(b"t" * 16), (Dot(FEED, 1),), (), (REF,)),
    SharedChange(Form.DELETE, "tag", RecordId(b"u" * 16), seen=(REF,)),
    SharedChange(Form.DISMISS, "tag", RecordId(b"z" * 16), seen=(REF,)),
    SharedChange(
        Form.DISMISS,
        "tag",
        RecordId(b"x" * 16),
        writes=(FieldWrite("name", None, None, (REF,)),),
    ),
    SharedChange(
        Form.UPDATE,
        "tag",
        RecordId(b"y" * 16),
        (Dot(OTHER, 3),),
        (FieldWrite("name", None, UNSET),),
    ),
    SharedChange(Form.RESTORE, "tag", RecordId(b"v" * 16), guard=Guard(1)),
    SharedChange(
        Form.UPDATE,
        "tag",
        RecordId(b"w" * 16),
        (Dot(OTHER, 3),),
        guard=Guard(2, Stamp(5, 1, 2), OTHER),
    ),
)


def header_for(body: bytes) -> CommitHeader:
    """Return a header that fits a body."""
    return CommitHeader(
        b"l" * 16,
        FEED,
        2,
        Stamp(9, 0, 1),
        b"p" * 32,
        b"m" * 32,
        "tag.set",
        b"c" * 16,
        digest(body),
        len(body),
        (Dependency(OTHER, 3, b"h" * 32),),
        kind=CommitKind.CLOSING,
    )


def test_a_commit_survives_its_bytes() -> None:
    """Header and changes come back as they were."""
    body = encode_body(CHANGES)
    header = header_for(body)
    assert decode_header(encode_header(header)) == header
    assert decode_body(header, body) == CHANGES
    assert signed_part(b"x") == DOMAIN + b"x"


def test_what_a_command_was_about_is_signed_with_it() -> None:
    """A header without it is shorter by that."""
    header = replace(header_for(b""), data={"tag": "trip", "count": 3})
    assert decode_header(encode_header(header)) == header


@pytest.mark.parametrize("data", [5, [], {5: "x"}, {b"tag": "x"}])
def test_what_a_command_was_about_is_told_by_name(data: object) -> None:
    """Anything else is invalid for everyone."""
    fields = unpack(encode_header(header_for(b"")))
    with pytest.raises(InvalidCommitError):
        decode_header(pack([*fields, data]))


def _fields(**changed: Any) -> bytes:
    names = (
        "version",
        "kind",
        "library",
        "feed",
        "seq",
        "stamp",
        "previous",
        "membership",
        "command",
        "command_id",
        "part",
        "parts",
        "body_hash",
        "body_bytes",
        "dependencies",
    )
    fields = dict(zip(names, unpack(encode_header(header_for(b""))), strict=True))
    return pack(list((fields | changed).values()))


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        pack(1),
        _fields(version=2),
        _fields(kind=256),
        _fields(kind=-1),
        _fields(kind=[]),
        _fields(kind=False),
        _fields(feed=b"short"),
        _fields(seq=0),
        _fields(seq="1"),
        _fields(part=2, parts=1),
        _fields(body_bytes=limits.MAX_BODY_BYTES + 1),
        _fields(command=""),
        _fields(stamp=Stamp(CEILING_MS, 0, 0).pack()),
        _fields(dependencies=5),
        _fields(dependencies=[[OTHER, 1]]),
        _fields(dependencies=[[FEED, 1, b"h" * 32]]),
        _fields(dependencies=[[OTHER, 0, b"h" * 32]]),
        _fields(dependencies=[[OTHER, True, b"h" * 32]]),
        _fields(dependencies=[[OTHER, 1 << 62, b"h" * 32]]),
        _fields(dependencies=[[OTHER, 1, b"short"]]),
        _fields(dependencies=[[b"short", 1, b"h" * 32]]),
        _fields(dependencies=["text"]),
    ],
)
def test_an_invalid_header_is_refused(data: bytes) -> None:
    """Every rule of a header is a rule of validity, the ceiling of stamps among them."""
    with pytest.raises(InvalidCommitError):
        decode_header(data)


def test_another_body_than_the_signed_one_is_refused() -> None:
    """A body that does not hash to what the header says is not looked at."""
    header = header_for(encode_body(CHANGES))
    with pytest.raises(InvalidCommitError, match="signed"):
        decode_body(header, encode_body(CHANGES[:1]))


def _body(*items: Any) -> bytes:
    return b"".join(pack(item) for item in items)


RECORD = b"r" * 16
SEEN = [Stamp(5, 1, 2).pack(), 0, 1, 0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        _body(5),
        _body([b"short"]),
        _body([], 5),
        _body([], [0, "tag", b"short", [], [], []]),
        _body([], [0, "", RECORD, [], [], []]),
        _body([], [9, "tag", RECORD, [], [], []]),
        _body([], [1, "tag", RECORD, [], [], []]),
        _body([], [0, "tag", RECORD, [[0, 1]], [], []]),
        _body([FEED], [2, "tag", RECORD, [[0, 1]], [["a", None, 1, []]], []]),
        _body([FEED], [1, "tag", RECORD, [[-1, 1]], [], []]),
        _body([FEED], [1, "tag", RECORD, [[0, 0]], [], []]),
        _body([], [0, "tag", RECORD, [], [[5, None, 1, []]], []]),
        _body([], [0, "tag", RECORD, [], [["a", None, 1, []]] * 2, []]),
        _body([], [2, "tag", RECORD, [], [], []]),
        _body([], [4, "tag", RECORD, [], [], []]),
        _body([FEED], [4, "tag", RECORD, [[0, 1]], [], [SEEN]]),
        _body([FEED], [4, "tag", RECORD, [], [["a", None, 1, [SEEN]]], []]),
        _body([], [4, "tag", RECORD, [], [["a", None, None, []]], []]),
        _body([FEED], [4, "tag", RECORD, [], [], [SEEN], [1, None, None]]),
        _body([], [0, "tag", RECORD, [], [["a", None, [UNSET], []]], []]),
        _body([], [0, "tag", RECORD, [], [["a", None, {"k": [{"l": UNSET}]}, []]], []]),
        _body([FEED], [1, "tag", RECORD, [[0, 2]], [], []]),
        _body([FEED], [2, "tag", RECORD, [[0, 1]], [], [[*SEEN[:2], 2, 0]]]),
        _body([FEED], [0, "tag", RECORD, [], [["a", None, 1, [[*SEEN[:2], 3, 0]]]], []]),
        _body([], [0, "tag", RECORD, [], [["", None, 1, []]], []]),
        _body([], [0, "tag", RECORD, [], [["a", "", 1, []]], []]),
        _body([], [0, "tag", RECORD, [], [], [], [MAX_GUARD + 1, None, None]]),
        _body([], [0, "tag", RECORD, [], [], [], 5]),
        _body([], [0, "tag", RECORD, [], [], [], [0, None, None]]),
        _body([], [0, "tag", RECORD, [], [], [], [1, bytes(16), None]]),
        _body([], [0, "tag", RECORD, [], [], [], [1, None, None], [1, None, None]]),
        _body([FEED], [0, "tag", RECORD, [], [], [], [1, bytes(16), 7]]),
        _body([], [0, "tag", RECORD, [], [], []], [3, "tag", RECORD, [], [], []]),
        _body([], [0, "tag", RECORD, [], [["a", None, [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]], []]], []]),
    ],
)
def test_an_invalid_body_is_refused(body: bytes) -> None:
    """Shapes, forms, double writes, double births and depth are rules of validity."""
    header = replace(header_for(body), dependencies=())
    with pytest.raises(InvalidCommitError):
        decode_body(header, body)


@pytest.mark.parametrize("kind", [2, 77, 255])
def test_a_commit_of_a_later_kind_is_read_as_far_as_it_can_be(kind: int) -> None:
    """Its header says where it stands; its body is what was signed, and changes nothing yet."""
    body = b"whatever"
    fields = unpack(encode_header(header_for(body)))
    header = decode_header(pack([1, kind, *fields[2:]]))
    assert header == replace(header_for(body), kind=CommitKind.LATER)
    assert decode_body(header, body) == ()
    with pytest.raises(InvalidCommitError, match="not the one"):
        decode_body(header, b"whatelse")


def test_what_a_body_names_of_others_is_found() -> None:
    """Dots, and the references of writes and of what was seen; or that there is nothing to find."""
    body = encode_body(CHANGES)
    header = header_for(body)
    assert names_others(header, body)
    assert set(positions(CHANGES)) == {Position(OTHER, 3), Position(FEED, 1)}
    alone = encode_body(CHANGES[:1])
    assert not names_others(header_for(alone), alone)


_EMPTY_LISTS = b"\xdc\x3f\xff" + b"\x90" * 16_383


def _body_of(values: Sequence[bytes]) -> bytes:
    """Return a body that makes a tag with each of these packed values."""
    changes = [
        b"\x96\x00" + pack("tag") + pack(at.to_bytes(16, "big"))
        + b"\x90\x91\x94" + pack("name") + b"\xc0" + value + b"\x90\x90"
        for at, value in enumerate(values)
    ]  # fmt: skip
    return pack([]) + b"".join(changes)


@pytest.mark.parametrize(
    ("value", "times"),
    [(b"\xdc\x01\xff" + _EMPTY_LISTS * 511, 1), (b"\x9f" + _EMPTY_LISTS * 15, 32)],
    ids=["one large value", "many of the largest that may be"],
)
def test_bodies_of_nested_values_cost_little_memory(value: bytes, times: int) -> None:
    """Bodies of nothing but lists in lists, as large as the largest commit."""
    body = _body_of([value] * times)
    assert 7 << 20 < len(body) <= limits.MAX_BODY_BYTES
    tracemalloc.start()
    with pytest.raises(InvalidCommitError):
        decode_body(header_for(body), body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_the_items_of_all_changes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dots, writes, references and what lists and maps hold: one more than may be is refused."""
    value = {"a": [1, [2]]}
    changes = [
        SharedChange(
            Form.UPDATE,
            "tag",
            RecordId(bytes([at]) * 16),
            (Dot(OTHER, 3),),
            (FieldWrite("name", None, value, (REF,)),),
            (REF,),
        )
        for at in range(2)
    ]
    body = encode_body(changes)
    monkeypatch.setattr(limits, "MAX_ITEMS", 18)
    assert decode_body(header_for(body), body) == tuple(changes)
    monkeypatch.setattr(limits, "MAX_ITEMS", 17)
    # Another body: the simulator, in the same process, remembers what it has decoded.
    body = encode_body(changes[::-1])
    with pytest.raises(InvalidCommitError, match="more than 17 items"):
        decode_body(header_for(body), body)


def test_one_change_of_the_largest_size_never_has_too_many_items() -> None:
    """So every change that may be written fits some commit."""
    count = (limits.MAX_HEAD_BYTES - 100) // (1 << 14)
    body = _body_of(
        [b"\xdc" + count.to_bytes(2, "big") + (b"\xdc\x3f\xf0" + bytes(16_368)) * count]
    )
    (change,) = decode_body(header_for(body), body)
    assert items_within(change.writes[0].value) > limits.MAX_ITEMS * 9 // 10
