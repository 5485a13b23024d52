"""The schema as the migrations make it, held against what it was agreed to be."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from entities import MODELS
from leaderless.store import engine, migrations
from registry.models import Ownership, WhenGone
from tests.replicas import query_file

VECTOR = Path(__file__).parents[1] / "vectors" / "schema.sql"
_SCHEMA = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"


def _fresh(path: Path) -> Path:
    writer = engine.writer_engine(path)
    engine.migrate(writer, path)
    writer.dispose()
    return path


def test_the_schema_of_a_new_file_is_the_agreed_one(tmp_path: Path) -> None:
    """A difference from the vector demands a migration, and then a new vector."""
    statements = [sql for (sql,) in query_file(_fresh(tmp_path / "library.db"), _SCHEMA)]
    assert "".join(f"{sql};\n" for sql in statements) == VECTOR.read_text(encoding="utf-8")


def test_every_table_is_strict(tmp_path: Path) -> None:
    """SQLite holds every column to its type."""
    path = _fresh(tmp_path / "library.db")
    query = (
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict"
        " AND name NOT LIKE 'sqlite%' AND name <> 'schema_version'"
    )
    assert query_file(path, query) == []


def test_every_reference_waits_for_the_end_of_the_transaction(tmp_path: Path) -> None:
    """Rows of one batch may come in any order, as their references are deferred."""
    path = _fresh(tmp_path / "library.db")
    for model in MODELS:
        holds = model.ownership is Ownership.DEVICE
        columns = [
            item.name
            for item in model.fields
            if item.reference and (holds or item.when_gone is WhenGone.CASCADE)
        ]
        query = f"SELECT sql FROM sqlite_master WHERE name = '{model.sync_name}'"  # noqa: S608
        ((sql,),) = query_file(path, query)
        assert sql.count("DEFERRABLE INITIALLY DEFERRED") == len(columns), model.sync_name


def test_every_owned_table_is_read_in_rev_order(tmp_path: Path) -> None:
    """What comes after a position is found by an index, however large the table."""
    path = _fresh(tmp_path / "library.db")
    owned = [item.sync_name for item in MODELS if item.ownership is Ownership.DEVICE]
    for name in (*owned, "tombstone", "opaque_row"):
        plan = query_file(
            path,
            f"EXPLAIN QUERY PLAN SELECT * FROM {name}"  # noqa: S608
            " WHERE epoch = 1 AND rev > 5 AND rev <= 9 ORDER BY rev LIMIT 500",
        )
        text = " ".join(str(step) for step in plan)
        assert f"{name}_by_rev (epoch=? AND rev>? AND rev<?)" in text, name
        assert "TEMP B-TREE" not in text, name


def test_a_commit_is_found_without_comparing_bodies(tmp_path: Path) -> None:
    """Without rowids every search would read whole rows on its way, bodies of 8 MiB and all."""
    path = _fresh(tmp_path / "library.db")
    query = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = 'commit_log'"
    assert query_file(path, query) == [(0,)]


def test_each_step_has_its_number_in_its_name() -> None:
    """A start tells by the names alone whether there is a step to take."""
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    assert all(Path(step.path).name.startswith(f"v{step.revision}_") for step in steps)
    named = engine.revisions(Path(migrations.__path__[0]))
    assert named == tuple(step.revision for step in steps)
