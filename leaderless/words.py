"""Words for people: numbers of things, names that are text, and what kinds of entries are called."""

from __future__ import annotations

from typing import Final

from leaderless.errors import UsageError

KINDS: Final = (
    "file",
    "directory",
    "symlink",
    "fifo",
    "socket",
    "block_device",
    "char_device",
)
"""What an entry can be."""


def counted(number: object, thing: str) -> str:
    """Return a number of things in words: 1 path, 2 paths."""
    return f"{number} {thing}" if str(number) == "1" else f"{number} {thing}s"


def doing(number: object, thing: str, one: str, many: str) -> str:
    """Return what a number of things do: 1 path is here, 2 paths are here."""
    return f"{counted(number, thing)} {one if str(number) == '1' else many}"


def checked_text(what: str, text: str, most: int) -> str:
    """Return `text`; raises UsageError if it is empty, longer than `most`, or no text at all.

    What was typed as bytes that are not UTF-8 holds surrogates, which no other device would take.
    """
    if not 1 <= len(text) <= most:
        raise UsageError(f"{what} has 1 to {most} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} is no text: it holds bytes that are not UTF-8") from error
    return text
