"""What rows add to a set hash, where it was reckoned before they are written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from registry.rows import Rows
from tests.entities.test_upsert import apply, entries, entry, location, uid, volume


@pytest.mark.parametrize("case", ["all", "one is older", "one is twice", "one is dead", "moved"])
def test_what_rows_add_is_taken_as_reckoned_if_all_of_them_came(
    connection: Connection, case: str
) -> None:
    """Else those that came are reckoned by themselves."""
    apply(connection, volume(), location(), entries(entry("one", 3)))
    rows = Rows([entry("one", 4), entry("two", 5)])
    rows.total = 7
    change = entries()
    change = replace(change, columns=tuple(change.columns), rows=rows)
    if case == "one is older":
        rows[0] = entry("one", 3)
    if case == "one is twice":
        rows.append(entry("two", 6))
    if case == "one is dead":
        change = replace(change, dead=frozenset([uid("two")]))
    if case == "moved":
        columns = change.columns[::-1]
        rows[:] = [(*row[:2], *row[:1:-1]) for row in rows]
        change = replace(change, columns=columns)
    ((_, effect), *_) = apply(connection, change).effects
    assert effect.after.total == (7 if case == "all" else None)
