"""The one way of foreign text to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.escape import printable


@given(st.text())
def test_no_control_reaches_the_terminal(text: str) -> None:
    """Control, format and surrogate characters never come through."""
    shown = printable(text)
    assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in shown)
    assert not set(shown) & set("\u202e\u200b\ufeff\u2066")


@given(st.binary(), st.binary())
def test_different_bytes_look_different(one: bytes, other: bytes) -> None:
    """The form is unambiguous."""
    assert (printable(one) == printable(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"caf\xe9", "caf\\xe9"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("back\\slash", "back\\\\slash"),
        ("grüße 日本", "grüße 日本"),
        ("\u202eevil", "\\u202eevil"),
    ],
)
def test_text_is_shown_as_people_expect(text: str | bytes, shown: str) -> None:
    """Letters stay letters, the rest is spelled out."""
    assert printable(text) == shown
