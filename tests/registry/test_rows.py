"""Rows of owned models as their tables have them."""

from __future__ import annotations

from registry.rows import Rows, StateRow, StateRows

ROWS = StateRows(("a", "b"), [(b"u", 1, "x", None, "behind"), (b"v", 2, None, 3)])


def test_rows_of_a_table_are_read_as_rows_with_the_fields_that_are_there() -> None:
    """What is None is absent, and what stands behind the columns is no field."""
    assert list(ROWS) == [StateRow(b"u", 1, {"a": "x"}), StateRow(b"v", 2, {"b": 3})]
    assert (len(ROWS), ROWS[-1]) == (2, StateRow(b"v", 2, {"b": 3}))


def test_some_of_the_rows_are_rows_of_the_same_columns() -> None:
    """A part is read as the whole is."""
    part = ROWS[1:]
    assert (type(part), list(part)) == (StateRows, [ROWS[1]])


def test_rows_of_a_change_are_a_list() -> None:
    """Whose sum is not known until somebody reckons it."""
    rows = Rows([(b"u", 1), (b"v", 2)])
    assert rows == [(b"u", 1), (b"v", 2)]
    assert rows.total is None
    assert StateRows(("a",), rows).total is None
    assert StateRows(("a",), rows, 5).total == 5
