"""Checks of what came from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from leaderless.protocol import fields, limits
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import pack
from registry.changes import Incarnation


def test_what_is_right_is_returned_as_it_is() -> None:
    """A check changes nothing."""
    assert fields.narrowed(str, "text") == "text"
    assert fields.number((1 << 62) - 1) == (1 << 62) - 1
    assert fields.sized(b"ab", 2) == b"ab"
    assert fields.incarnation_of(1, b"n" * 8) == Incarnation(1, b"n" * 8)
    assert fields.head_of([pack({"a": 1}), b"part"]) == {"a": 1}
    assert fields.cursor(b"") == b""


@pytest.mark.parametrize(
    "check",
    [
        lambda: fields.narrowed(int, "5"),
        lambda: fields.narrowed(int, True),
        lambda: fields.number(-1),
        lambda: fields.number(1 << 62),
        lambda: fields.number(True),
        lambda: fields.sized(b"abc", 2),
        lambda: fields.sized("ab", 2),
        lambda: fields.incarnation_of(1 << 32, bytes(8)),
        lambda: fields.head_of([pack([])]),
        lambda: fields.cursor(bytes(limits.MAX_CURSOR_BYTES + 1)),
        lambda: fields.cursor(5),
    ],
)
def test_what_is_wrong_is_named(check: Callable[[], object]) -> None:
    """Another type, another length, a number that nobody counts to."""
    with pytest.raises(MalformedError):
        check()
