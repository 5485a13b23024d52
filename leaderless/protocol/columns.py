"""Rows as columns: what neighbours have in common is said once.

A column is one MessagePack value::

    [0, [value, …]]        as they are
    [1, value]             all the same
    [2, [step, …]]         numbers: each is the one before it, the first 0, and a step
    [3, [difference, …]]   numbers: each is that of its row in the column before, and a difference
    [4, id, [step, …]]     ids of 16 bytes: the first, and the others, each with the same six bytes at
                           its end, and in front of them the number of the one before it and a step

Which of them fits is the sender's to choose. What is decoded takes no more than rows that are sent as
they are may take, whatever a column says in a few bytes.
"""

from __future__ import annotations

from itertools import accumulate
from operator import add, sub
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leaderless.protocol import limits
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_Row = tuple[Any, ...]

_PLAIN, _SAME, _STEPS, _DIFFERENCES, _IDS = range(5)
_ID_BYTES: Final = 16
_COUNTING_BYTES: Final = 10
"""Of an id: it begins with a time and a counter, and ends with what is the process's own."""
_FAR: Final = 1 << 62
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""The numbers that MessagePack has."""

_SCALARS: Final = frozenset([int, float, bool, NoneType])
_SIZED: Final = frozenset([bytes, str, NoneType])
PLAIN: Final = _SCALARS | _SIZED
"""The types that a value of a row may have."""
_EXACT: Final = (frozenset([int]), frozenset([bytes]), frozenset([str]), frozenset([NoneType]))
"""Types of which equal values are the same bytes."""
_HEADER_BYTES: Final = 5
"""What stands in front of an array, a string or bytes in MessagePack at most."""
_SCALAR_BYTES: Final = 9
_CHARACTER_BYTES: Final = 4
"""Of a character in UTF-8 at most."""


def pack_columns(rows: Sequence[_Row]) -> list[bytes] | None:
    """Return the columns of rows; None where one is larger than what is decoded at once."""
    packed: list[bytes] = []
    before: Sequence[Any] | None = None
    for column in zip(*rows, strict=True):
        kinds = frozenset(map(type, column))
        packed.append(min((pack(form) for form in _forms(column, kinds, before)), key=len))
        before = column if kinds == {int} else None
    return packed if all(len(item) <= limits.MAX_HEAD_BYTES for item in packed) else None


def _forms(
    column: Sequence[Any], kinds: frozenset[type], before: Sequence[int] | None
) -> Iterable[list[Any]]:
    """Yield the forms that fit a column, of equal ones the better first."""
    if kinds in _EXACT and column.count(column[0]) == len(column):
        yield [_SAME, column[0]]
        return
    if kinds == {int}:
        if before is not None:
            differences = list(map(sub, column, before))
            if _are_near(differences):
                yield [_DIFFERENCES, differences]
        if max(column) - min(column) < _FAR:
            yield [_STEPS, _steps(column)]
    elif kinds == {bytes} and set(map(len, column)) == {_ID_BYTES}:
        end = column[0][_COUNTING_BYTES:]
        _, *steps = _steps([int.from_bytes(item[:_COUNTING_BYTES], "big") for item in column])
        if _are_near(steps) and all(item.endswith(end) for item in column):
            yield [_IDS, column[0], steps]
    yield [_PLAIN, list(column)]


def _are_near(steps: Sequence[int]) -> bool:
    return max(map(abs, steps)) < _FAR


def _steps(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


class Column(NamedTuple):
    """What stands in a column of rows, of which types that is, and what it takes as it is at most."""

    values: Sequence[Any]
    kinds: frozenset[type]
    most_bytes: int
    all_bytes: int


class Room:
    """What the rows of a batch may be, in all its sections: `rows` more, of `bytes` as they are."""

    def __init__(self) -> None:
        self.rows = limits.MAX_ROWS
        self.bytes = limits.MAX_FRAME_BYTES


def unpack_columns(packed: Sequence[bytes], count: int, room: Room) -> list[_Row]:
    """Return so many rows, and take them from what there is room for.

    Raises MalformedError where columns do not fit, or rows are too many or too large.
    """
    columns: list[Column] = []
    room.rows -= count
    if room.rows < 0:
        raise MalformedError("a batch has too many rows")
    for item in packed:
        column = _column(unpack(item, any_depth=True), count, columns[-1] if columns else None)
        columns.append(column)
        room.bytes -= column.all_bytes
        if room.bytes < 0:
            raise MalformedError("columns stand for more than a frame may hold")
    rows = list(zip(*(column.values for column in columns), strict=True))
    row_bytes = _HEADER_BYTES + sum(column.most_bytes for column in columns)
    if row_bytes > limits.MAX_ROW_BYTES and any(map(is_too_large, rows)):
        raise MalformedError("a row is larger than one may be")
    return rows


def _column(said: object, count: int, before: Column | None) -> Column:
    match said:
        case [0, list(values)] if len(values) == count:
            return measured(values, frozenset(map(type, values)))
        case [1, value]:
            of_one = measured([value], frozenset([type(value)]))
            all_bytes = count * of_one.all_bytes
            return Column([value] * count, of_one.kinds, of_one.most_bytes, all_bytes)
        case [2, list(steps)] if len(steps) == count:
            return _numbers(list(accumulate(_only_numbers(steps))))
        case [3, list(steps)] if len(steps) == count and before and before.kinds == {int}:
            return _numbers(list(map(add, _only_numbers(steps), before.values)))
        case [4, bytes(first), list(steps)] if len(steps) == count - 1:
            size = _HEADER_BYTES + _ID_BYTES
            return Column(_ids(first, steps), _EXACT[1], size, size * count)
    raise MalformedError("a column has another shape")


def measured(values: Sequence[Any], kinds: frozenset[type]) -> Column:
    """Return a column of values as they came, if they are plain ones."""
    if kinds <= _SCALARS:
        return Column(values, kinds, _SCALAR_BYTES, _SCALAR_BYTES * len(values))
    if not kinds <= PLAIN:
        raise MalformedError("a value in a column is no plain one")
    each = _CHARACTER_BYTES if str in kinds else 1
    around = _HEADER_BYTES + _SCALAR_BYTES
    if kinds <= _SIZED:
        sizes = list(map(len, filter(None, values)))
    else:
        sizes = [len(value) for value in values if isinstance(value, bytes | str)]
    most = max(sizes, default=0)
    return Column(values, kinds, around + each * most, around * len(values) + each * sum(sizes))


def _numbers(values: list[int]) -> Column:
    if values and (min(values) < _LEAST or max(values) > _MOST):
        raise MalformedError("a number in a column is out of range")
    return Column(values, _EXACT[0], _SCALAR_BYTES, _SCALAR_BYTES * len(values))


def _only_numbers(values: Sequence[Any]) -> Sequence[int]:
    if not set(map(type, values)) <= {int}:
        raise MalformedError("steps of a column are no numbers")
    return values


def _ids(first: bytes, steps: Sequence[Any]) -> list[bytes]:
    if len(first) != _ID_BYTES:
        raise MalformedError("an id of a column has another length")
    counting, end = int.from_bytes(first[:_COUNTING_BYTES], "big"), first[_COUNTING_BYTES:]
    numbers = list(accumulate(_only_numbers(steps), initial=counting))
    if min(numbers) < 0 or max(numbers) >= 1 << 8 * _COUNTING_BYTES:
        raise MalformedError("an id of a column is out of range")
    return [number.to_bytes(_COUNTING_BYTES, "big") + end for number in numbers]


def is_too_large(row: _Row) -> bool:
    """Return whether a row is larger than devices take."""
    return len(pack(row)) > limits.MAX_ROW_BYTES
