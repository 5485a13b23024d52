"""Own rows as they are written."""

from __future__ import annotations

import pytest

from leaderless.errors import UsageError
from leaderless.protocol import limits
from leaderless.store.own_rows import with_revs

UUID = b"u" * 16


def test_revs_are_given_in_the_order_of_the_rows() -> None:
    """The rev stands behind the id, and rises by one a row."""
    assert with_revs("tag", [(UUID, "a"), (UUID, None)], 7) == [(UUID, 7, "a"), (UUID, 8, None)]


def test_no_rows_have_no_revs() -> None:
    """Nothing to write is nothing."""
    assert with_revs("tag", [], 1) == []


@pytest.mark.parametrize(("given", "held"), [(True, 1), (False, 0), (2.5, 2.5), (1.0, 1.0)])
def test_booleans_alone_become_numbers(given: float, held: float) -> None:
    """True and False are 1 and 0, also beside other numbers; these stay what they are."""
    ((*_, written), _) = with_revs("tag", [(UUID, given), (UUID, True)], 1)
    assert (type(written), written) == (type(held), held)


@pytest.mark.parametrize("value", ["x", b"x", "ü", [1]])
def test_a_row_may_be_as_large_as_others_take(value: str | bytes | list[int]) -> None:
    """What packs into the limit to the byte is written, whatever it is made of."""
    ((*_, written),) = with_revs("tag", [(UUID, _grown(value, 0))], 1)
    assert written == _grown(value, 0)


@pytest.mark.parametrize("value", ["x", b"x", "ü", [1]])
def test_a_row_that_others_would_refuse_is_refused(value: str | bytes | list[int]) -> None:
    """One byte more than the limit is too much, in whichever row."""
    rows = [(UUID, None), (UUID, _grown(value, 1))]
    with pytest.raises(UsageError, match="larger than what other devices take"):
        with_revs("tag", rows, 1)


def _grown(value: str | bytes | list[int], more: int) -> str | bytes | list[int]:
    """Return a value with which a row is `more` larger than allowed."""
    # In front: the array, the id with its header, the rev, and the header of the value.
    room = limits.MAX_ROW_BYTES - 1 - 18 - 1 - 3 + more
    if isinstance(value, list):
        return [1] * room
    if isinstance(value, bytes):
        return value * room
    width = len(value.encode())
    return value * (room // width) + "x" * (room % width)


def test_rows_of_different_widths_are_refused() -> None:
    """A row that lacks a value is not written as if another stood there."""
    with pytest.raises(UsageError, match="different numbers of values"):
        with_revs("tag", [(UUID, "a"), (UUID,)], 1)
