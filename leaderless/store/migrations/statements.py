"""Running a file of SQL statements one by one, inside the migration's transaction."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from alembic import op

if TYPE_CHECKING:
    from pathlib import Path


def run_file(path: Path) -> None:
    """Run every statement of `path`; the driver's own way to run a script would commit."""
    statement = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            op.get_bind().exec_driver_sql(statement)
            statement = ""
