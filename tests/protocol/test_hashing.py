"""Hashes of rows and sets."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol.hashing import (
    EMPTY_SET,
    add,
    columns_bytes,
    digest,
    element,
    reckon,
    row_bytes,
    rows_sum,
)
from registry.changes import DeviceId, Incarnation, StateChange
from registry.rows import Rows, StateRow, StateRows

LIFE = Incarnation(1, bytes(8))


@given(st.lists(st.binary(max_size=8)), st.randoms(use_true_random=False))
def test_a_set_hash_does_not_depend_on_order(items: list[bytes], chance: random.Random) -> None:
    """Elements added in any order, and taken away again, leave the same hash."""
    one = EMPTY_SET
    for item in items:
        one = add(one, element(item))
    chance.shuffle(items)
    other = EMPTY_SET
    for item in items:
        other = add(other, element(item))
    assert one == other
    for item in items:
        other = add(other, -element(item))
    assert other == EMPTY_SET


def test_absent_fields_stay_out_of_a_rows_hash() -> None:
    """Fields are in order of their names, whatever order they came in."""
    one = row_bytes("entry", StateRow(b"u" * 16, 1, {"a": 1, "b": 2}))
    assert one == row_bytes("entry", StateRow(b"u" * 16, 1, {"b": 2, "a": 1}))
    assert one != row_bytes("entry", StateRow(b"u" * 16, 2, {"a": 1, "b": 2}))


def test_rows_in_columns_have_the_bytes_of_rows_with_fields() -> None:
    """Whatever order the columns are in, and where values are missing."""
    columns, values = ("b", "a", "c"), ((2, 1, None), (None, None, b"x"))
    rows = [(bytes([at]) * 16, at, *some) for at, some in enumerate(values)]
    assert list(columns_bytes("entry", columns, rows)) == [
        row_bytes("entry", StateRow(rows[0][0], 0, {"a": 1, "b": 2})),
        row_bytes("entry", StateRow(rows[1][0], 1, {"c": b"x"})),
    ]


def test_the_sum_of_rows_is_the_sum_of_their_elements() -> None:
    """Rows add up one by one."""
    rows = [StateRow(b"u" * 16, 1, {}), StateRow(b"v" * 16, 2, {})]
    assert rows_sum("entry", rows) == sum(element(row_bytes("entry", row)) for row in rows)
    columns = StateRows(("a", "b"), [(b"u" * 16, 1, None, 2), (b"v" * 16, 2, "x", None)])
    assert rows_sum("entry", columns) == rows_sum("entry", list(columns))
    assert len(digest(b"")) == 32


def test_what_rows_add_can_be_reckoned_ahead() -> None:
    """It is the same sum; a list that cannot keep it is left alone."""
    listed = [(b"u" * 16, 1, None, 2), (b"v" * 16, 2, "x", None)]
    columns = ("b", "a")
    change = StateChange("entry", DeviceId(b"o" * 16), LIFE, columns, Rows(listed))
    reckon(change)
    total = rows_sum("entry", StateRows(columns, listed))
    assert isinstance(change.rows, Rows)
    assert change.rows.total == total
    assert rows_sum("entry", StateRows(columns, listed, total)) == total
    assert rows_sum("entry", StateRows(columns, [], 5)) == 5
    reckon(replace(change, rows=listed))
