"""Connections to the one file, and its schema versions."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from leaderless.store import engine
from leaderless.store.engine import NewerSchemaError, StoreError
from tests.replicas import query_file
from tests.store.versions import HEAD, NEXT, with_versions

_VERSION = "SELECT version_num FROM schema_version"
_ADD = "op.get_bind().exec_driver_sql('ALTER TABLE presence ADD COLUMN note TEXT')"
_BREAK = (
    "op.get_bind().exec_driver_sql("
    '"INSERT INTO location (uuid, epoch, rev, volume, name, path, index_mode)'
    " VALUES (zeroblob(16), 1, 1, 99, 'x', x'00', 'shallow')\")"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database of a test stands."""
    return tmp_path / "library.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Engine]:
    """Open the writing connection of a database with the schema."""
    made = engine.writer_engine(path)
    engine.migrate(made, path)
    yield made
    made.dispose()


@pytest.fixture
def reader(writer: Engine, path: Path) -> Iterator[Engine]:
    """Open a reading connection beside the writer."""
    made = engine.reader_engine(path)
    yield made
    made.dispose()


def _pragma(on: Engine, name: str) -> object:
    with on.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5_000),
        ("trusted_schema", 0),
        ("query_only", 0),
    ],
)
def test_the_writer_is_durable_and_strict(writer: Engine, name: str, value: object) -> None:
    """What is committed is on the disk, and references hold."""
    assert _pragma(writer, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("query_only", 1), ("foreign_keys", 1), ("trusted_schema", 0)],
)
def test_a_reader_only_reads(reader: Engine, name: str, value: object) -> None:
    """Its connection refuses to write, whatever is asked of it."""
    assert _pragma(reader, name) == value


def test_a_reading_connection_cannot_write(reader: Engine) -> None:
    """A statement that would change something fails there."""
    with pytest.raises(OperationalError, match="readonly"), reader.begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('x', 1)")


def test_the_writer_holds_the_file_from_the_start(writer: Engine, path: Path) -> None:
    """Nobody else writes between its first read and its first write."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with (
        contextlib.closing(other),
        writer.begin(),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_reader_does_not_wait_for_the_writer(writer: Engine, reader: Engine) -> None:
    """It sees what was committed last, while the writer is at work."""
    with writer.begin() as writing:
        writing.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('x', 1)")
        with reader.begin() as reading:
            found = reading.exec_driver_sql("SELECT count(*) FROM meta").scalar()
    assert found == 0


def test_a_reading_transaction_is_one_snapshot(writer: Engine, reader: Engine) -> None:
    """What is committed meanwhile is not seen before the next one."""
    query = "SELECT count(*) FROM meta"
    with reader.begin() as reading:
        before = reading.exec_driver_sql(query).scalar()
        with writer.begin() as writing:
            writing.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('x', 1)")
        after = reading.exec_driver_sql(query).scalar()
    assert (before, after) == (0, 0)


def test_a_reference_to_nothing_is_refused_at_the_commit(writer: Engine) -> None:
    """Within a transaction the order is free; at its end every reference holds."""
    with pytest.raises(Exception, match="FOREIGN KEY"), writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO entry (uuid, epoch, rev, location, name, kind)"
            " VALUES (zeroblob(16), 1, 1, 99, x'00', 'file')"
        )


# --- versions -------------------------------------------------------------------------------------


def test_a_new_file_gets_the_newest_schema(writer: Engine, path: Path) -> None:
    """It says which version it has."""
    assert query_file(path, _VERSION) == [(HEAD,)]


def test_a_file_of_this_version_is_left_alone(writer: Engine, path: Path) -> None:
    """Opening it again changes nothing and takes no snapshot."""
    before = sorted(path.parent.iterdir())
    engine.migrate(writer, path)
    assert sorted(path.parent.iterdir()) == before


def test_a_file_of_a_newer_version_is_refused(writer: Engine, path: Path) -> None:
    """The version is named with what to do, and the file stays as it is."""
    with writer.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version_num = '9999'")
    with pytest.raises(NewerSchemaError, match="schema 9999") as caught:
        engine.migrate(writer, path)
    assert caught.value.hint is not None
    assert query_file(path, _VERSION) == [("9999",)]


def test_an_older_file_is_upgraded(writer: Engine, path: Path, tmp_path: Path) -> None:
    """Its rows are there, with the columns of the new version."""
    _insert_presence(writer)
    engine.migrate(writer, path, with_versions(tmp_path, _ADD))
    assert query_file(path, "SELECT last_address, note FROM presence") == [("here", None)]
    assert query_file(path, _VERSION) == [(NEXT,)]


def test_a_snapshot_is_taken_before_an_upgrade(writer: Engine, path: Path, tmp_path: Path) -> None:
    """The file as it was stands beside the new one, whole."""
    _insert_presence(writer)
    engine.migrate(writer, path, with_versions(tmp_path, _ADD))
    kept = path.with_suffix(f".before-{NEXT}")
    assert query_file(kept, _VERSION) == [(HEAD,)]
    assert query_file(kept, "SELECT last_address FROM presence") == [("here",)]


def test_a_step_that_fails_undoes_all_steps(writer: Engine, path: Path, tmp_path: Path) -> None:
    """Two steps of which the second fails leave the schema of before."""
    wrong = with_versions(tmp_path, _ADD, "op.get_bind().exec_driver_sql('NONSENSE')")
    with pytest.raises(OperationalError):
        engine.migrate(writer, path, wrong)
    assert query_file(path, _VERSION) == [(HEAD,)]
    columns = query_file(path, "SELECT name FROM pragma_table_info('presence')")
    assert ("note",) not in columns


def test_a_step_that_breaks_a_reference_is_undone(
    writer: Engine, path: Path, tmp_path: Path
) -> None:
    """The check of all foreign keys comes before the commit."""
    with writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO incarnation (id, device, generation, nonce, set_hash)"
            " VALUES (1, zeroblob(16), 1, zeroblob(8), zeroblob(256))"
        )
    with pytest.raises(StoreError, match="fails its own checks"):
        engine.migrate(writer, path, with_versions(tmp_path, _BREAK))
    assert query_file(path, _VERSION) == [(HEAD,)]
    assert query_file(path, "SELECT * FROM location") == []


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """It is named, and left as it is."""
    path.write_bytes(b"this is a letter" * 100)
    writer = engine.writer_engine(path)
    with pytest.raises(StoreError, match=r"library\.db cannot be used"):
        engine.migrate(writer, path)
    writer.dispose()
    assert path.read_bytes().startswith(b"this is a letter")


def _insert_presence(writer: Engine) -> None:
    with writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO presence (device, last_address) VALUES (zeroblob(16), 'here')"
        )


# --- checks and snapshots -------------------------------------------------------------------------


def test_a_sound_file_passes_its_checks(writer: Engine, path: Path) -> None:
    """Nothing is raised for a file as it should be."""
    with writer.begin() as connection:
        engine.check(connection, path)


def test_damaged_pages_are_found(writer: Engine, path: Path) -> None:
    """A table whose pages were overwritten fails the check."""
    with writer.begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta (name, value) VALUES ('x', zeroblob(50000))")
        page = connection.exec_driver_sql(
            "SELECT rootpage FROM sqlite_master WHERE name = 'meta'"
        ).scalar_one()
    writer.dispose()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4_096 + 8)
        file.write(b"\xff" * 64)
    with (
        pytest.raises(StoreError, match="fails its own checks"),
        writer.begin() as connection,
    ):
        engine.check(connection, path)


def test_a_snapshot_is_whole_while_others_read(
    writer: Engine, reader: Engine, path: Path, tmp_path: Path
) -> None:
    """It has what was committed, though that is in the write-ahead log only."""
    target = tmp_path / "copy.db"
    _insert_presence(writer)
    with reader.begin():
        engine.snapshot(path, target)
    assert query_file(target, "SELECT last_address FROM presence") == [("here",)]


def test_a_snapshot_is_for_its_owner_alone(writer: Engine, path: Path, tmp_path: Path) -> None:
    """Others may not read the copy, as they may not read the file."""
    target = tmp_path / "copy.db"
    engine.snapshot(path, target)
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_snapshot_replaces_an_older_one_and_its_leftovers(
    writer: Engine, path: Path, tmp_path: Path
) -> None:
    """One that was cut off does not stand in the way of the next."""
    target = tmp_path / "copy.db"
    shutil.copy(__file__, target)
    shutil.copy(__file__, tmp_path / "copy.db.partial")
    engine.snapshot(path, target)
    assert query_file(target, _VERSION) == [(HEAD,)]
    assert not (tmp_path / "copy.db.partial").exists()
