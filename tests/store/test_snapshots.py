"""The last good snapshot of a database."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from leaderless.store import meta, snapshots
from leaderless.store.disk import ROOM_BYTES, DamagedError, DiskFullError
from leaderless.store.engine import StoreError
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.snapshots import (
    DAY_MS,
    fault_of,
    incarnation_in,
    is_due,
    snapshot_of,
    take,
)
from registry.changes import Incarnation
from tests.limits import limited
from tests.replicas import START_MS, Replica, add_tree, query_file
from tests.store.damage import damage

OWN = Incarnation(1, bytes([1]) * 8)


def _take(replica: Replica, now_ms: int = START_MS) -> bool:
    return take(replica.store.path, now_ms, lambda: True)


def test_a_snapshot_holds_what_was_committed(replica: Replica) -> None:
    """It stands beside the database, whole, for its owner alone, with nothing left over."""
    add_tree(replica, 100)
    assert _take(replica)
    good = snapshot_of(replica.store.path)
    assert query_file(good, "SELECT count(*) FROM entry") == [(101,)]
    assert good.stat().st_mode & 0o777 == 0o600
    assert list(good.parent.glob("*.partial*")) == []


def test_a_snapshot_is_due_where_there_is_none(replica: Replica) -> None:
    """The first one is wanted at once."""
    assert is_due(replica.store.path, OWN, START_MS)


@pytest.mark.parametrize(
    ("later_ms", "due"), [(0, False), (DAY_MS - 1, False), (DAY_MS, True), (-DAY_MS, True)]
)
def test_a_snapshot_is_due_after_a_day(replica: Replica, later_ms: int, due: bool) -> None:
    """A clock that was set back by more than that does not put it off."""
    _take(replica)
    assert is_due(replica.store.path, OWN, START_MS + later_ms) is due


def test_a_snapshot_of_an_earlier_incarnation_is_due_anew(replica: Replica) -> None:
    """Who went on from there would count in an incarnation that was used."""
    _take(replica)
    begun = replica.store.write_here(lambda tx: begin_incarnation(tx, b"12345678"))
    assert is_due(replica.store.path, begun, START_MS)
    _take(replica)
    assert not is_due(replica.store.path, begun, START_MS)
    assert incarnation_in(snapshot_of(replica.store.path)) == begun


def test_a_snapshot_that_cannot_be_read_is_due_anew(replica: Replica) -> None:
    """It would replace nothing."""
    _take(replica)
    good = snapshot_of(replica.store.path)
    good.write_bytes(b"this is a letter" * 100)
    os.utime(good, ns=(START_MS * 1_000_000, START_MS * 1_000_000))
    assert is_due(replica.store.path, OWN, START_MS)


def test_a_snapshot_that_takes_too_long_is_left(replica: Replica) -> None:
    """The last good one stays, and nothing of the other."""
    _take(replica)
    add_tree(replica, 5_000)
    assert take(replica.store.path, START_MS, lambda: False) is False
    good = snapshot_of(replica.store.path)
    assert query_file(good, "SELECT count(*) FROM entry") == [(0,)]
    assert list(good.parent.glob("*.partial*")) == []


def test_a_snapshot_without_room_leaves_the_last_one(replica: Replica) -> None:
    """What is missing is named."""
    _take(replica)
    with limited(40_960), pytest.raises(DiskFullError):
        _take(replica)
    assert fault_of(snapshot_of(replica.store.path)) is None


def test_a_snapshot_is_not_begun_where_it_would_take_the_last_room(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to the database meanwhile has room; what is missing is named."""
    add_tree(replica, 100)
    path = replica.store.path
    log = path.with_name(f"{path.name}-wal").stat().st_size
    assert log > 0
    held = path.stat().st_size + log
    monkeypatch.setattr(snapshots, "free_bytes", lambda _: held + 2 * ROOM_BYTES - 1)
    with pytest.raises(DiskFullError, match="snapshot"):
        _take(replica)
    assert not snapshot_of(replica.store.path).exists()


def test_a_damaged_database_makes_no_snapshot(replica: Replica) -> None:
    """It is found out, and the last good one stays."""
    add_tree(replica, 2_000)
    _take(replica)
    path = replica.store.path
    replica.store.close()
    damage(path)
    with pytest.raises(DamagedError):
        take(path, START_MS, lambda: True)
    assert fault_of(snapshot_of(path)) is None
    path.write_bytes(snapshot_of(path).read_bytes())


# --- what is wrong with a file --------------------------------------------------------------------


@pytest.mark.parametrize("thorough", [False, True])
def test_a_sound_file_has_no_fault_and_stays_as_it_is(replica: Replica, thorough: bool) -> None:
    """Not even its write-ahead log is folded in."""
    add_tree(replica, 10)
    log = Path(f"{replica.store.path}-wal")
    before = log.stat().st_size
    assert fault_of(replica.store.path, thorough=thorough) is None
    assert log.stat().st_size == before > 0


def test_whoever_waits_sees_that_a_look_gets_on(replica: Replica) -> None:
    """A large file takes its time; that is no hang."""
    add_tree(replica, 20_000)
    beats: list[None] = []
    assert fault_of(replica.store.path, lambda: beats.append(None)) is None
    assert beats


def test_overwritten_pages_are_a_fault(replica: Replica, tmp_path: Path) -> None:
    """What SQLite finds is told."""
    add_tree(replica, 2_000)
    _take(replica)
    good = snapshot_of(replica.store.path)
    damage(good)
    assert fault_of(good)


@pytest.mark.parametrize("content", [b"", b"this is a letter" * 1_000])
def test_a_file_that_is_no_library_is_a_fault(tmp_path: Path, content: bytes) -> None:
    """Neither an empty one nor one of something else."""
    file = tmp_path / "library.db"
    file.write_bytes(content)
    assert fault_of(file)


def test_a_file_that_cannot_be_opened_is_no_damaged_one(tmp_path: Path) -> None:
    """It is told as what it is, and replaced by nothing."""
    with pytest.raises(StoreError, match="cannot be read"):
        fault_of(tmp_path / "library.db")


def test_a_file_without_a_device_has_no_incarnation(tmp_path: Path, replica: Replica) -> None:
    """There is nothing that it counts in."""
    replica.store.write_here(lambda tx: meta.drop(tx.conn, meta.OWN_EPOCH))
    assert incarnation_in(replica.store.path) is None


def test_a_file_without_tables_has_no_incarnation_either(tmp_path: Path) -> None:
    """That is told by SQLite's own error."""
    file = tmp_path / "library.db"
    file.touch()
    with pytest.raises(sqlite3.OperationalError):
        incarnation_in(file)
