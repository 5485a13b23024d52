"""The one way of foreign text to a terminal."""

from __future__ import annotations

import os
import subprocess
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.escape import printable, shell_word


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


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("plain", "plain"),
        ("/a b", "'/a b'"),
        ("back\\slash", "'back\\slash'"),
        (os.fsdecode(b"caf\xe9"), "$'caf\\xe9'"),
        ("it's\x1b\\", "$'it\\'s\\x1b\\\\'"),
        ("\u202ex", "$'\\xe2\\x80\\xaex'"),
    ],
)
def test_a_word_of_a_command_can_be_pasted(text: str, word: str) -> None:
    """Quoted as people would, with escapes where a terminal could be steered."""
    assert shell_word(text) == word


@pytest.mark.parametrize("raw", [b"caf\xe9", b"a'b\\c\x1b[31m d", b"\xff0", "\u202e\xe9".encode()])
def test_a_shell_reads_it_as_it_was(raw: bytes) -> None:
    """The very bytes come back."""
    word = shell_word(os.fsdecode(raw))
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert said.stdout == raw
