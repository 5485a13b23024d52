"""Schema versions: the older ones, with a library as it was, and some that a test makes up."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from leaderless.store import engine, migrations

*OLDER, HEAD = sorted(
    path.stem[1:5] for path in Path(migrations.__path__[0], "versions").glob("v*.py")
)
"""All schema versions before today's, and today's."""
NEXT = f"{int(HEAD) + 1:04}"

_JOURNAL_OF_TODAY = "0003"
"""The first version whose journal has the rules of today."""

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
    for at, step in enumerate(steps, start=int(NEXT)):
        text = _STEP.format(revision=at, before=at - 1, step=step)
        (made / "versions" / f"v{at:04}_made_up.py").write_text(text)
    return made


def up_to(version: str, folder: Path) -> Path:
    """Return a folder with the real migrations up to a version."""
    (real,) = migrations.__path__
    made = folder / "older"
    (made / "versions").mkdir(parents=True)
    shutil.copy(Path(real) / "env.py", made / "env.py")
    for path in Path(real, "versions").glob("v*.*"):
        if path.name[1:5] <= version:
            shutil.copy(path, made / "versions" / path.name)
    return made


def as_version(version: str, source: Path, target: Path, folder: Path) -> None:
    """Write the library at `source` as an older version of leaderless would hold it.

    Its commits may carry no data and no lock: then their bytes are those of the first version, too.
    """
    writer = engine.writer_engine(target)
    engine.migrate(writer, target, up_to(version, folder))
    writer.dispose()
    connection = sqlite3.connect(target)
    with contextlib.closing(connection), connection:
        connection.execute("ATTACH ? AS newer", (str(source),))
        tables = connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table'"
            " AND name NOT IN ('schema_version', 'sqlite_sequence')"
        ).fetchall()
        other_rules = version < _JOURNAL_OF_TODAY
        for (table,) in tables:
            if table == "journal" and other_rules:
                continue
            listed = connection.execute(
                "SELECT name FROM pragma_table_info(?1, 'main')"
                " WHERE name IN (SELECT name FROM pragma_table_info(?1, 'newer'))",
                (table,),
            )
            columns = ", ".join(name for (name,) in listed)
            connection.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"  # noqa: S608
            )
        connection.execute("DELETE FROM main.meta WHERE name IN ('models', 'installed')")
        if not other_rules:
            return
        # What they noted is not to be believed.
        listed = connection.execute("SELECT name FROM pragma_table_info('journal', 'main')")
        columns = [name for (name,) in listed if name != "id"]
        wrong = {"model": "tag", "record": bytes(16), "field": "color", "noted_at": 1}
        values = [
            wrong.get(name, "" if name in ("subkey", "cause") else b"\xc0") for name in columns
        ]
        connection.execute(
            f"INSERT INTO main.journal ({', '.join(columns)})"  # noqa: S608
            f" VALUES ({', '.join('?' * len(columns))})",
            values,
        )
