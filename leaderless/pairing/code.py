"""The code that a person reads on one device and types on the other: a digit and three words."""

from __future__ import annotations

import difflib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

WORD_COUNT = 256


class Code:
    """A pairing code; its text is a secret and does not show in logs."""

    def __init__(self, digit: int, words: tuple[str, str, str]) -> None:
        self._text = "-".join([str(digit), *words])

    def reveal(self) -> str:
        """Return the code as a person reads it: `4-maple-otter-lemon`."""
        return self._text

    def secret(self) -> bytes:
        """Return what both sides put into the exchange."""
        return self._text.encode("ascii")

    def __repr__(self) -> str:
        return "Code(…)"


@cache
def words() -> tuple[str, ...]:
    """Return the word list: 256 short words that are hard to mistake for each other."""
    path = Path(__file__).with_name("words.txt")
    return tuple(path.read_text(encoding="ascii").split())


def make(below: Callable[[int], int]) -> Code:
    """Return a new code; `below` draws a number below its argument (secrets.randbelow)."""
    listed = words()
    first, second, third = (listed[below(WORD_COUNT)] for _ in range(3))
    return Code(below(10), (first, second, third))


def parse(text: str) -> Code:
    """Return the code in what a person typed, whatever its case and separators.

    Raises UsageError, with the nearest word for one that is not in the list.
    """
    parts = re.findall(r"[a-z]+|[0-9]+", text.lower())
    if len(parts) != 4 or not re.fullmatch("[0-9]", parts[0]):
        raise UsageError("a code is a digit and three words, such as 4-maple-otter-lemon")
    for word in parts[1:]:
        if word not in words():
            near = difflib.get_close_matches(word, words(), n=1)
            hint = f"did you mean {near[0]}?" if near else None
            raise UsageError(f"“{word}” is not a word of any code", hint=hint)
    return Code(int(parts[0]), (parts[1], parts[2], parts[3]))
