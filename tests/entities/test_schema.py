"""Columns that every owned table carries."""

from __future__ import annotations

from entities._schema import BOOKKEEPING, METADATA, number, owned_table, raw, text


def test_an_owned_table_has_the_bookkeeping_first() -> None:
    """Whatever a model adds stands behind id, uuid, epoch, rev, dead and extra."""
    table = owned_table("sample", text("a"), number("b"), raw("c"))
    METADATA.remove(table)
    assert {column.name for column in table.columns} == {*BOOKKEEPING, "a", "b", "c"}
