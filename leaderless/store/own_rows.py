"""Own rows as they are written: with revs, numbers for booleans, and no larger than others take.

A column at a time: a first scan writes a row for each file, and what is asked of every value by itself
costs as much as half of what SQLite does with the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leaderless.errors import UsageError
from leaderless.protocol import limits
from leaderless.protocol.columns import PLAIN, is_too_large, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

_AROUND_BYTES: Final = 14
"""What stands in front of a row in MessagePack, and its rev, at most."""


def with_revs(model: str, rows: Sequence[tuple[Any, ...]], first_rev: int) -> list[tuple[Any, ...]]:
    """Return rows (uuid, value, …) as (uuid, rev, value, …), revs in the order of the rows.

    Raises UsageError where rows differ in width, or one is larger than what other devices take.
    """
    if len(set(map(len, rows))) > 1:
        raise UsageError(f"rows of {model} have different numbers of values")
    columns = list(zip(*rows, strict=True))
    most_bytes = _AROUND_BYTES
    for at, column in enumerate(columns):
        kinds = frozenset(map(type, column))
        if bool in kinds:
            columns[at] = tuple(int(item) if isinstance(item, bool) else item for item in column)
        most_bytes += _most_bytes(kinds, column)
    revs = range(first_rev, first_rev + len(rows))
    revved = list(zip(*columns[:1], revs, *columns[1:], strict=True))
    if most_bytes > limits.MAX_ROW_BYTES and any(map(is_too_large, revved)):
        raise UsageError(f"a row of {model} is larger than what other devices take")
    return revved


def _most_bytes(kinds: frozenset[type], column: tuple[Any, ...]) -> int:
    """Return what a value of a column takes at most when it is packed, or more than that."""
    return measured(column, kinds).most_bytes if kinds <= PLAIN else limits.MAX_ROW_BYTES + 1
