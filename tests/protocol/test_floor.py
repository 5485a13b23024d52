"""Floors."""

from __future__ import annotations

import pytest

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.floor import DOMAIN, MAX_BYTES, Floor, decode, signed_part
from leaderless.protocol.packing import pack
from registry.changes import Incarnation

SAID = Floor(b"l" * 16, b"o" * 16, Incarnation((1 << 32) - 1, b"n" * 8), (1 << 62) - 1)
SIGNATURE = b"s" * 64


def test_a_floor_survives_its_bytes() -> None:
    """Behind the signature stand the bytes that were signed; the largest fits its bound."""
    record = SIGNATURE + SAID.encode()
    assert decode(record) == SAID
    assert signed_part(record) == (SIGNATURE, DOMAIN + SAID.encode())
    assert len(record) <= MAX_BYTES


@pytest.mark.parametrize(
    "other",
    [
        [1, 2],
        [1, b"l" * 16, b"o" * 16, 1, b"n" * 8, 0],
        [1, b"l" * 16, b"o" * 16, 1, b"n" * 8, 1 << 62],
        [1, b"l" * 16, b"o" * 16, 1 << 32, b"n" * 8, 5],
        [1, b"l" * 16, b"o" * 15, 1, b"n" * 8, 5],
        [1, b"l" * 16, b"o" * 16, 1, b"n" * 9, 5],
    ],
)
def test_other_bytes_are_no_floor(other: list[object]) -> None:
    """A record of another shape is refused, and one that says nothing."""
    with pytest.raises(MalformedError):
        decode(SIGNATURE + pack(other))
