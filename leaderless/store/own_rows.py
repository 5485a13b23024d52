"""Own rows as they are written: with revs, numbers for booleans, and no larger than others take.

A column at a time: a first scan writes a row for each file, and what is asked of every value by itself
costs as much as half of what SQLite does with the row.
"""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from leaderless.errors import UsageError
from leaderless.protocol import limits
from leaderless.protocol.packing import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCALARS: Final = frozenset([int, float, bool, NoneType])
_SIZED: Final = frozenset([bytes, str, NoneType])
_HEADER_BYTES: Final = 5
"""What stands in front of an array, a string or bytes in MessagePack at most."""
_SCALAR_BYTES: Final = 9
_CHARACTER_BYTES: Final = 4
"""Of a character in UTF-8 at most."""


def with_revs(model: str, rows: Sequence[tuple[Any, ...]], first_rev: int) -> list[tuple[Any, ...]]:
    """Return rows (uuid, value, …) as (uuid, rev, value, …), revs in the order of the rows.

    Raises UsageError where rows differ in width, or one is larger than what other devices take.
    """
    if len(set(map(len, rows))) > 1:
        raise UsageError(f"rows of {model} have different numbers of values")
    columns = list(zip(*rows, strict=True))
    most_bytes = _HEADER_BYTES + _SCALAR_BYTES
    for at, column in enumerate(columns):
        kinds = set(map(type, column))
        if bool in kinds:
            columns[at] = tuple(int(item) if isinstance(item, bool) else item for item in column)
        most_bytes += _most_bytes(kinds, column)
    revs = range(first_rev, first_rev + len(rows))
    revved = list(zip(*columns[:1], revs, *columns[1:], strict=True))
    if most_bytes > limits.MAX_ROW_BYTES and any(map(_is_too_large, revved)):
        raise UsageError(f"a row of {model} is larger than what other devices take")
    return revved


def _most_bytes(kinds: set[type], column: tuple[Any, ...]) -> int:
    """Return what a value of a column takes at most when it is packed, or more than that."""
    if kinds <= _SCALARS:
        return _SCALAR_BYTES
    if kinds <= _SIZED:
        each = _CHARACTER_BYTES if str in kinds else 1
        return _HEADER_BYTES + each * max(map(len, filter(None, column)), default=0)
    return limits.MAX_ROW_BYTES + 1


def _is_too_large(row: tuple[Any, ...]) -> bool:
    return len(pack(row)) > limits.MAX_ROW_BYTES
