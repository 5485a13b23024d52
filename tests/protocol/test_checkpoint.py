"""Checkpoints."""

from __future__ import annotations

import pytest

from leaderless.protocol.checkpoint import DOMAIN, Checkpoint, decode, signed_part
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import pack
from registry.changes import Incarnation

SAID = Checkpoint(b"l" * 16, b"o" * 16, Incarnation(1, b"n" * 8), 7, 3, bytes(256))


def test_a_checkpoint_survives_its_bytes() -> None:
    """Behind the signature stand the bytes that were signed."""
    record = b"s" * 64 + SAID.encode()
    assert decode(record) == SAID
    assert signed_part(record) == (b"s" * 64, DOMAIN + SAID.encode())


def test_other_bytes_are_no_checkpoint() -> None:
    """A record of another shape is refused."""
    with pytest.raises(MalformedError):
        decode(b"s" * 64 + pack([1, 2]))
