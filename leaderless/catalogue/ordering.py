"""Places in an order as text (fractional indexing): a new one fits between any two, others stay.

::

    key   = head digit… digit…        compared byte by byte; base 62: 0-9 A-Z a-z
    head  = a … z  and 1 … 26 digits of a whole number from 0 up follow
          | Z … A  and 1 … 26 digits of a whole number from -1 down follow
    rest  = the part behind the point, which never ends in 0

At either end the whole number takes a step, so keys grow there as slowly as numbers do; between two
neighbours the part behind the point gets longer by one digit for some six insertions into one gap.
Places made at one spot by devices that do not see each other are told apart by `spread`, digits
that each takes from the record it places; equal keys are still possible, so who sorts by keys
breaks ties by the record's id. Pure; keys of peers may be any text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE: Final = {digit: value for value, digit in enumerate(DIGITS)}
_BASE: Final = len(DIGITS)
_SPREAD_DIGITS: Final = 3
_FIRST: Final = "a0"
_LEAST: Final = "A" + "0" * 26
"""Nothing would fit below it, so it is no key."""
MAX_KEY: Final = 512
"""Longer ones are taken for no key: a peer could send megabytes."""
_LONG: Final = 64
"""Beyond this a few neighbours get new keys, too, so that all become short again."""
_REACHES: Final = (0, 16, 256)


def is_key(text: object) -> bool:
    """Return whether `text` is a key that others can be placed beside."""
    if not isinstance(text, str) or not 2 <= len(text) <= MAX_KEY:
        return False
    if any(digit not in _VALUE for digit in text) or text[0] < "A" or text == _LEAST:
        return False
    size = _whole_size(text[0])
    return len(text) >= size and (len(text) == size or text[-1] != "0")


def key_between(before: str | None, after: str | None, spread: str = "") -> str:
    """Return a key above `before` and below `after`; None is the end of the order.

    `spread` are digits that tell apart what is placed here unseen by each other. The result is no
    beginning of `after`. Raises ValueError unless both are keys and `before` < `after`.
    """
    for key in (before, after):
        if key is not None and not is_key(key):
            raise ValueError(f"{key!r} is no place in an order")
    if before is not None and after is not None and before >= after:
        raise ValueError(f"there is nothing between {before!r} and {after!r}")
    key = _middle(before, after)
    while after is not None and after.startswith(key):
        key = _middle(before, key)
    return key if spread.strip("0") == "" else key + spread.rstrip("0")


def keys_between(before: str | None, after: str | None, count: int, spread: str = "") -> list[str]:
    """Return `count` rising keys between two, which nobody else's keys of that gap come between."""
    key = key_between(before, after, spread)
    if count <= 1:
        return [key] * count
    width = len(_in_base(count, 1))
    return [key + _in_base(at, width).rstrip("0") for at in range(1, count + 1)]


def spread_of(record: bytes) -> str:
    """Return the digits that tell a record's place from others made at the same spot."""
    return _in_base(int.from_bytes(record, "big") % _BASE**_SPREAD_DIGITS, _SPREAD_DIGITS)


def sort_key(position: object, record: bytes) -> tuple[bool, str, bytes]:
    """Return what records are sorted by: their keys, then their ids; without a key they are last.

    The order of Python's texts and of these digits' bytes is the same.
    """
    placed = is_key(position)
    return not placed, str(position) if placed else "", record


def place(
    keys: Sequence[str | None], at: int, count: int, spread: str = ""
) -> tuple[list[str], dict[int, str]]:
    """Return keys for `count` new things in front of the at-th, and new keys of old ones.

    `keys` are those of the things that are there, in order. Old ones get a new key only right
    where the new things go: where two devices made equal ones, where one cannot be used, or where
    so much was put into one gap that its keys have become long.
    """
    valid = [key if is_key(key) else None for key in keys]
    first, last = _muddle(valid, at)
    made: list[str] = []
    for reach in (*_REACHES, len(valid)):
        first, last = max(0, first - reach), min(len(valid), last + reach)
        first, last = _muddle(valid, first)[0], _muddle(valid, last)[1]
        before = valid[first - 1] if first else None
        after = valid[last] if last < len(valid) else None
        made = keys_between(before, after, last - first + count, spread)
        if len(made[-1]) <= _LONG:
            break
    ahead = at - first
    old = made[:ahead] + made[ahead + count :]
    return made[ahead : ahead + count], dict(zip(range(first, last), old, strict=True))


def _muddle(valid: Sequence[str | None], at: int) -> tuple[int, int]:
    """Return the range around `at` whose keys have to be made anew before anything fits there."""
    first = last = at
    if at and valid[at - 1] is None:
        while first and valid[first - 1] is None:
            first -= 1
    elif at:
        while last < len(valid) and valid[last] == valid[at - 1]:
            last += 1
    return first, last


def _whole_size(head: str) -> int:
    """Return how long the whole number is, with its head."""
    return ord(head) - ord("a") + 2 if head >= "a" else ord("Z") - ord(head) + 2


def _middle(before: str | None, after: str | None) -> str:
    """Return a short key between two."""
    if before is None and after is None:
        return _FIRST
    if before is None or after is None:
        known = before if before is not None else after or _FIRST
        size = _whole_size(known[0])
        stepped = _step(known[:size], 1 if after is None else -1)
        if stepped is not None:
            return stepped
        rest = known[size:]
        if before is not None:
            return known[:size] + _fraction(rest, None)
        return known[:size] + _fraction("", rest) if rest else _LEAST + _fraction("", None)
    low, high = _whole_size(before[0]), _whole_size(after[0])
    if before[:low] == after[:high]:
        return before[:low] + _fraction(before[low:], after[high:])
    stepped = _step(before[:low], 1)
    if stepped is not None and stepped < after:
        return stepped
    return before[:low] + _fraction(before[low:], None)


def _step(whole: str, by: int) -> str | None:
    """Return the next whole number (`by` 1) or the one before (-1), None behind the last."""
    digits = len(whole) - 1
    number = _number(whole[1:]) + by
    if 0 <= number < _BASE**digits:
        stepped = whole[0] + _in_base(number, digits)
        return None if stepped == _LEAST else stepped
    # Numbers of one length are used up: the next length begins, above zero or below.
    longer = (whole[0] >= "a") == (by > 0)
    crosses = digits == 1 and not longer
    head = ("a" if by > 0 else "Z") if crosses else chr(ord(whole[0]) + by)
    if not (head.isascii() and head.isalpha()):
        return None
    size = _whole_size(head) - 1
    return head + ("0" if by > 0 else "z") * size


def _fraction(low: str, high: str | None) -> str:
    """Return digits behind the point between two; "" is the least, None above the greatest."""
    made = ""
    at = 0
    while True:
        below = _VALUE[low[at]] if at < len(low) else 0
        above = _VALUE[high[at]] if high is not None and at < len(high) else _BASE
        if high is not None and below == above:
            made += DIGITS[below]
        elif above - below > 1:
            return made + DIGITS[(below + above) // 2]
        else:
            # Neighbouring digits: all that begins with the lower one and goes on higher fits.
            made += DIGITS[below]
            high = None
        at += 1


def _number(digits: str) -> int:
    """Return the number that digits of base 62 stand for."""
    number = 0
    for digit in digits:
        number = number * _BASE + _VALUE[digit]
    return number


def _in_base(number: int, width: int) -> str:
    """Return a number in digits of base 62, at least `width` of them."""
    made = ""
    while number or len(made) < width:
        number, value = divmod(number, _BASE)
        made = DIGITS[value] + made
    return made
