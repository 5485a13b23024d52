"""Schema versions: the first, with a library as it was, and some that a test makes up."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from leaderless.store import engine, migrations

_STEP = """
from alembic import op

revision = "{revision:04}"
down_revision = "{before:04}"


def upgrade():
    {step}
"""


def with_versions(folder: Path, *steps: str) -> Path:
    """Return a folder with the real migrations, and one more for each line of code."""
    (real,) = migrations.__path__
    made = folder / "migrations"
    shutil.copytree(real, made, ignore=shutil.ignore_patterns("__pycache__"))
    newest = len(list((made / "versions").glob("v*.py")))
    for at, step in enumerate(steps, start=newest + 1):
        text = _STEP.format(revision=at, before=at - 1, step=step)
        (made / "versions" / f"v{at:04}_made_up.py").write_text(text)
    return made


def only_first(folder: Path) -> Path:
    """Return a folder with the first of the real migrations alone."""
    (real,) = migrations.__path__
    made = folder / "first"
    (made / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/v0001_first.py", "versions/v0001_first.sql"):
        shutil.copy(Path(real) / name, made / name)
    return made


def as_first_version(source: Path, target: Path, folder: Path) -> None:
    """Write the library at `source` as the first version of leaderless would hold it.

    Its commits may carry no data and no lock: then their bytes are those of that version.
    """
    writer = engine.writer_engine(target)
    engine.migrate(writer, target, only_first(folder))
    writer.dispose()
    connection = sqlite3.connect(target)
    with contextlib.closing(connection), connection:
        connection.execute("ATTACH ? AS newer", (str(source),))
        tables = connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table'"
            " AND name NOT IN ('schema_version', 'journal', 'sqlite_sequence')"
        ).fetchall()
        for (table,) in tables:
            listed = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
            columns = ", ".join(name for (name,) in listed)
            connection.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"  # noqa: S608
            )
        connection.execute("DELETE FROM main.meta WHERE name IN ('models', 'installed')")
        # The rule of that version's journal was another: what it noted is not to be believed.
        connection.execute(
            "INSERT INTO main.journal (model, record, field, value, loser, winner, cause, noted_at)"
            " VALUES ('tag', zeroblob(16), 'color', x'c0', x'c0', x'c0', 'overwritten', 1)"
        )
