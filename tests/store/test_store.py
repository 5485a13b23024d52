"""The store: one transaction for all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaderless.errors import UsageError
from leaderless.ids import RecordIds
from leaderless.store import state
from leaderless.store.engine import ConstraintError, NewerSchemaError
from leaderless.store.holdings import read_holdings
from leaderless.store.store import AlreadyThereError, Store, create_store
from leaderless.store.transaction import Transaction
from registry.changes import Create, Delete, Incarnation, Restore, Update
from registry.hlc import Stamp
from tests.replicas import ENTRY_COLUMNS, Replica, SteppedClock, add_tree, make_replicas, query_file


@pytest.fixture
def replica(tmp_path: Path) -> Any:
    """Open a replica with its device row."""
    (made,) = make_replicas(tmp_path, 1)
    yield made
    assert query_file(made.store.path, "PRAGMA foreign_key_check") == []
    made.store.close()


def _tag(replica: Replica, **fields: Any) -> bytes:
    tag = replica.store.ids.new()
    replica.store.write_here(lambda tx: tx.commit("tag.create", [Create("tag", tag, fields)]))
    return tag


def _stamps(replica: Replica) -> list[Stamp]:
    rows = query_file(replica.store.path, "SELECT stamp FROM commit_log ORDER BY seq")
    return [Stamp.parse(stamp) for (stamp,) in rows]


def test_own_rows_are_proved_by_their_own_checkpoint(replica: Replica) -> None:
    """After every write the own copy is exact, signed and counts its rows."""
    add_tree(replica, 10)
    held = replica.store.write_here(lambda tx: read_holdings(tx.conn))
    assert held.unproved == {}
    assert held.owned[replica.identity.device].row_count == 14


def test_a_set_hash_forgets_what_was_dropped(replica: Replica) -> None:
    """Rows that came and went leave the hash as it was."""

    def hash_of(tx: Transaction) -> bytes:
        copy = state.copy_of(tx.conn, replica.identity.device)
        assert copy is not None
        return copy.set_hash

    location, root = add_tree(replica, 0)
    before = replica.store.write_here(hash_of)
    uuid = replica.store.ids.new()
    row = (uuid, location, root, b"f", None, "file", *[None] * 8)
    replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
    assert replica.store.write_here(hash_of) != before
    replica.store.write_here(lambda tx: tx.drop("entry", [uuid]))
    assert replica.store.write_here(hash_of) == before


def test_a_failed_write_changes_nothing_and_the_next_one_works(replica: Replica) -> None:
    """A reference to nothing undoes the transaction whole; revs are not used up."""
    location, _ = add_tree(replica, 1)
    marks = "SELECT max(watermark) FROM incarnation"
    before = query_file(replica.store.path, marks)
    row = (replica.store.ids.new(), location, b"x" * 16, b"f", None, "file", *[None] * 8)
    with pytest.raises(ConstraintError):
        replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
    assert query_file(replica.store.path, marks) == before
    _tag(replica)


def test_stamps_rise_though_the_clock_steps_back(replica: Replica) -> None:
    """With the wall set back an hour, later commits still have later stamps."""
    _tag(replica)
    replica.clock.ms -= 3_600_000
    _tag(replica)
    stamps = _stamps(replica)
    assert stamps == sorted(set(stamps))


def test_stamps_rise_over_a_restart(replica: Replica, tmp_path: Path) -> None:
    """A clock that was set back between two runs makes no lower stamp."""
    _tag(replica)
    replica.store.close()
    replica.clock.ms -= 3_600_000
    store = Store(
        replica.store.path,
        replica.store.registry,
        replica.clock,
        RecordIds(replica.clock),
        replica.identity.sign,
    )
    store.load()
    replica.store = store
    _tag(replica)
    stamps = _stamps(replica)
    assert stamps == sorted(set(stamps))


def test_a_deleted_tag_comes_back_with_its_values(replica: Replica) -> None:
    """Restore brings the fields a tag had when it was deleted."""
    tag = _tag(replica, canonical_name="trip", color="red")
    replica.store.write_here(lambda tx: tx.commit("tag.delete", [Delete("tag", tag)]))
    replica.store.write_here(lambda tx: tx.commit("tag.restore", [Restore("tag", tag)]))
    query = "SELECT canonical_name, color FROM tag"
    assert query_file(replica.store.path, query) == [("trip", "red")]


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [Create("entry", bytes(16), {})],
        [Create("nobody", bytes(16), {})],
        [Create("tag", bytes(16), {"nothing": 1})],
        [Create("tag", bytes(16), {"color": 5})],
        [Create("tag", bytes(16), {"aliases": "x"})],
        [Create("tag", bytes(16), {}), Update("tag", bytes(16), {"color": "red"})],
        [Update("tag", bytes(16), {"color": "red"})],
    ],
)
def test_an_edit_that_cannot_be_meant_changes_nothing(replica: Replica, edits: list[Any]) -> None:
    """Unknown models, fields and records are refused, and no commit is written."""
    with pytest.raises(UsageError):
        replica.store.write_here(lambda tx: tx.commit("tag.test", edits))
    assert _stamps(replica) == []


def test_a_large_command_becomes_parts_of_one(replica: Replica) -> None:
    """More changes than a commit may hold travel as parts with one command id."""
    edits = [Create("tag", replica.store.ids.new(), {}) for _ in range(10_001)]
    replica.store.write_here(lambda tx: tx.commit("tag.import", edits))
    query = "SELECT count(*), count(DISTINCT command_id) FROM commit_log"
    assert query_file(replica.store.path, query) == [(2, 1)]
    assert query_file(replica.store.path, "SELECT count(*) FROM tag") == [(10_001,)]


def test_the_first_column_of_own_rows_is_their_id(replica: Replica) -> None:
    """Rows without an id in front are refused."""
    with pytest.raises(UsageError):
        replica.store.write_here(lambda tx: tx.put("device", ["name"], [("x",)]))


def test_a_library_is_not_made_over_another(replica: Replica) -> None:
    """Where a file stands, none is made."""
    with pytest.raises(AlreadyThereError):
        create_store(
            replica.store.path, SteppedClock(), bytes(16), Incarnation(1, bytes(8)), bytes(16), ()
        )


def test_a_file_of_a_newer_version_is_refused(replica: Replica) -> None:
    """An unknown schema version is named, and the file stays as it is."""
    replica.store.write_here(
        lambda tx: tx.conn.exec_driver_sql("UPDATE schema_version SET version_num = '9999'")
    )
    with pytest.raises(NewerSchemaError):
        replica.store.load()


async def test_whoever_listens_hears_of_every_write(replica: Replica) -> None:
    """A listener is called once a write is durable, and reads see it."""
    heard: list[int] = []
    replica.store.listen(lambda: heard.append(1))
    await replica.store.write(lambda tx: tx.own_device)
    found = await replica.store.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM device").scalar()
    )
    assert (heard, found) == ([1], 1)
