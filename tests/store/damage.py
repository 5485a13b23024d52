"""Damaging a database as a failing disk does, for tests."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES = 4_096


def damage(database: Path, table: str = "entry") -> None:
    """Overwrite the roots of a table and its indexes; nobody may have the file open."""
    query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND rootpage > 0"
    with closing(sqlite3.connect(database)) as connection:
        pages = [page for (page,) in connection.execute(query, (table,))]
    with database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(b"\xff" * PAGE_BYTES)
