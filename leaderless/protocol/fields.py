"""What came from outside, piece by piece: a check returns what it was given, or names what is wrong.

All raise MalformedError, which a codec turns into the end of a connection.
"""

from __future__ import annotations

from typing import Any

from leaderless.protocol import limits
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import unpack
from registry.changes import Incarnation

Parts = list[bytes]
"""The parts of a message: its head, and what its kind has beside."""


def narrowed(kind: type | tuple[type, ...], value: Any) -> Any:  # noqa: ANN401 - narrows what it returns
    """Return a value that is of one of these types; a boolean is no number."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MalformedError(f"a field cannot be a {type(value).__name__}")
    return value


def number(value: object) -> int:
    """Return a number from 0 on, below 2^62."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise MalformedError("a number is out of range")
    return value


def sized(value: object, size: int) -> bytes:
    """Return bytes of this length."""
    if not isinstance(value, bytes) or len(value) != size:
        raise MalformedError(f"an id or hash does not have {size} bytes")
    return value


def incarnation_of(generation: object, nonce: object) -> Incarnation:
    """Return an incarnation."""
    counted = number(generation)
    if counted >= 1 << 32:
        raise MalformedError("a generation has at most 32 bits")
    return Incarnation(counted, sized(nonce, 8))


def head_of(parts: Parts) -> dict[str, Any]:
    """Return the head of a message, a map."""
    found = unpack(parts[0])
    if not isinstance(found, dict):
        raise MalformedError("a head is no map")
    return found


def cursor(value: object) -> bytes:
    """Return a place among the records."""
    if not isinstance(value, bytes) or len(value) > limits.MAX_CURSOR_BYTES:
        raise MalformedError("a place among the records has another shape")
    return value
