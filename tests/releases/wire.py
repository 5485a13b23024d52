"""What protocol 1.0 reads, written down from PROTOCOL.md and not from today's decoder.

A device of 1.0 ends the connection over everything that this refuses. Keys of a head that it does
not know it ignores; longer lists, other kinds and other signed shapes it does not.
"""

from __future__ import annotations

from typing import Any

import msgpack

from scripts.releases.frames import parts

_INCARNATION = (int, 8)
_OWNED = (16, int, 8, int)
_RANGE = (0, 0)
HEADS: dict[int, dict[str, Any]] = {
    1: {
        "version": (int, int),
        "library": 16,
        "incarnation": _INCARNATION,
        "models": dict,
        "membership": 32,
        "vectors": 32,
        "wall_ms": int,
        "software": str,
    },
    2: {},
    3: {"whole": int, "owned": [_OWNED], "feeds": [(44, int, int)]},
    4: {"owner": 16, "of": _INCARNATION, "lo": int},
    5: {
        "owner": 16,
        "of": _INCARNATION,
        "range": (int, int, int, int),
        "introduction": int,
        "sections": [(str, [str], [16])],
    },
    6: {"feed": 44, "after": int},
    7: {"feed": 44, "after": int, "head": int},
    8: {"amount": int},
    9: {"vectors": 32, "state": 32},
    10: {},
    11: {},
    12: {"code": str, "text": str},
    13: {"ranges": [_RANGE]},
    14: {},
}
"""Of each kind what its head has: a type, bytes of a length (0: any), a tuple of just these, or a
list of as many as there are."""
_CHECKPOINT = (int, 16, 16, int, 8, int, int, 256)
_STATEMENT = (int, 16, str, 0, str, str, 32, [32], int, 0)
_HEADER = (int, int, 16, 44, int, 16, 32, 32, str, 16, int, int, 32, int, [(44, int, 32)])


def read_as_1_0(frame: bytes) -> None:
    """Raise AssertionError where a device of protocol 1.0 could not read a frame."""
    assert frame[0] in (0, 1), "an unknown flag"
    kind, (packed, *rest) = parts(frame)
    assert kind in HEADS, f"kind {kind} is unknown to 1.0"
    head = msgpack.unpackb(packed)
    for name, shape in HEADS[kind].items():
        _check(head[name], shape, name)
    if kind == 2:
        assert len(rest) % 2 == 0
        for body in rest[::2]:
            said = msgpack.unpackb(body)
            _check(said, _STATEMENT, "a statement")
            assert said[0] == 1
            assert said[2] in ("genesis", "add"), f"1.0 knows no statement {said[2]}"
            assert said[4] in ("admin", "member"), f"1.0 knows no role {said[4]}"
    elif kind == 5:
        _read_state(head, rest)
    elif kind == 7:
        assert len(rest) % 3 == 0
        for at in range(0, len(rest), 3):
            _read_commit(*rest[at : at + 3])
    elif kind == 14:
        for part in rest:
            _check(msgpack.unpackb(part), (_RANGE, [(0, 16)], [(16, 16, str)]), "an answer")


def _read_state(head: dict[str, Any], rest: list[bytes]) -> None:
    sections = head["sections"]
    assert len(rest) == 1 + 2 * len(sections)
    if rest[0]:
        _check(msgpack.unpackb(rest[0][64:]), _CHECKPOINT, "a checkpoint")
    for at, (_, columns, _) in enumerate(sections):
        for row in _each(rest[1 + 2 * at]):
            assert len(row) == 2 + len(columns)
        for gone in _each(rest[2 + 2 * at]):
            _check(gone, (16, int), "a tombstone")


def _read_commit(header: bytes, signature: bytes, body: bytes) -> None:
    said = msgpack.unpackb(header)
    assert said[0] == 1
    assert said[1] in (0, 1), f"1.0 knows no commit of kind {said[1]}"
    _check(said[:15], _HEADER, "a header")
    assert len(said) == 15 or (len(said) == 16 and isinstance(said[15], dict))
    assert len(signature) == 64
    assert len(body) == said[13], "1.0 takes no commit without its body"
    _, *changes = _each(body)
    for change in changes:
        assert len(change) in (6, 7)
        assert change[0] in range(5), f"1.0 knows no change of form {change[0]}"


def _each(data: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(ext_hook=lambda code, _: code)
    unpacker.feed(data)
    return list(unpacker)


def _check(value: Any, shape: Any, what: str) -> None:
    if isinstance(shape, int) and not isinstance(shape, bool):
        assert isinstance(value, bytes), f"{what} is no bytes"
        assert shape in (0, len(value)), f"{what} has {len(value)} bytes"
    elif isinstance(shape, type):
        assert isinstance(value, shape), f"{what} is a {type(value).__name__}"
    elif isinstance(shape, list):
        for item in value:
            _check(item, shape[0], what)
    else:
        assert len(value) == len(shape), f"{what} has {len(value)} items, not {len(shape)}"
        for item, inner in zip(value, shape, strict=True):
            _check(item, inner, what)
