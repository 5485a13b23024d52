"""Ids of actions as people write them: either end, and how much of one tells it from all others.

What an action is, is `history`'s business.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

SHORT_DIGITS: Final = 8
"""Digits that are shown of an id, unless that needs more to be told from others."""
_DIGITS, _LEAST = 32, 4
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


def is_id(text: str) -> bool:
    """Return whether a text may be part of an id: four hexadecimal digits or more."""
    return _LEAST <= len(text) <= _DIGITS and _HEXADECIMAL.issuperset(text)


def keys_named(connection: Connection, reference: str) -> list[tuple[bytes, bytes]]:
    """Return (feed, command id) of the actions whose id begins with digits, else of those it ends with.

    So what begins one id alone, as `short_id` does, names that one. Of many a few are returned.
    """
    digits = reference.lower()
    if not is_id(digits):
        return []
    bounds = tuple(bytes.fromhex(digits.ljust(_DIGITS, fill)) for fill in "0f")
    for condition, values in (
        ("c.command_id BETWEEN ? AND ?", bounds),
        ("lower(hex(c.command_id)) LIKE ?", (f"%{digits}",)),
    ):
        keys = connection.exec_driver_sql(
            "SELECT DISTINCT f.feed, c.command_id FROM commit_log c JOIN feed f ON f.id = c.feed"
            f" WHERE {condition} LIMIT 3",
            values,
        ).all()
        if keys:
            return [(feed, command_id) for feed, command_id in keys]
    return []


def short_id(connection: Connection, command_id: bytes) -> str:
    """Return the shortest beginning of an id, of eight digits at least, that no other one has."""
    digits, common = command_id.hex(), 0
    beside = connection.exec_driver_sql(
        "SELECT max(command_id) FROM commit_log WHERE command_id < ?1"
        " UNION ALL SELECT min(command_id) FROM commit_log WHERE command_id > ?1",
        (command_id,),
    ).scalars()
    for other in beside:
        if other is not None:
            common = max(common, common_digits(digits, other.hex()))
    return digits[: max(SHORT_DIGITS, common + 1)]


def common_digits(one: str, other: str) -> int:
    """Return with how many digits both begin."""
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in alike)
