"""Checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.checkpoint import (
    DOMAIN,
    NAME_BYTES,
    Checkpoint,
    decode,
    name_of,
    signed_part,
)
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import pack, unpack
from registry.changes import Incarnation

SAID = Checkpoint(b"l" * 16, b"o" * 16, Incarnation(1, b"n" * 8), 7, 3, bytes(256))


def test_a_checkpoint_survives_its_bytes() -> None:
    """Behind the signature stand the bytes that were signed."""
    record = b"s" * 64 + SAID.encode()
    assert decode(record) == SAID
    assert signed_part(record) == (b"s" * 64, DOMAIN + SAID.encode())


def test_other_checkpoints_have_other_names() -> None:
    """A name tells whether two devices mean the same, in few bytes."""
    names = {name_of(said.encode()) for said in (SAID, replace(SAID, set_hash=b"1" * 256))}
    assert len(names) == 2
    assert {len(name) for name in names} == {NAME_BYTES}
    assert name_of(SAID.encode()) in names


_FIELDS = unpack(SAID.encode(), 1 << 10)


@pytest.mark.parametrize(
    "other",
    [
        [1, 2],
        [2, *_FIELDS[1:]],
        [*_FIELDS[:2], b"short", *_FIELDS[3:]],
        [*_FIELDS[:3], 1 << 32, *_FIELDS[4:]],
        [*_FIELDS[:4], b"short", *_FIELDS[5:]],
        [*_FIELDS[:5], 1 << 62, *_FIELDS[6:]],
        [*_FIELDS[:5], -1, *_FIELDS[6:]],
        [*_FIELDS[:6], 1 << 62, *_FIELDS[7:]],
        [*_FIELDS[:7], b"short"],
    ],
)
def test_other_bytes_are_no_checkpoint(other: list[object]) -> None:
    """A record of another shape is refused, and one whose numbers no database holds."""
    with pytest.raises(MalformedError):
        decode(b"s" * 64 + pack(other))
