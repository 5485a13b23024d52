"""Numbers in words, the same wherever a person reads them."""

from __future__ import annotations


def counted(number: object, thing: str) -> str:
    """Return a number of things in words: 1 path, 2 paths."""
    return f"{number} {thing}" if str(number) == "1" else f"{number} {thing}s"
