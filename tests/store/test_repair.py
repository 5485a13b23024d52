"""A damaged database replaced by its last good snapshot."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from entities import MODELS
from leaderless.ids import RecordIds
from leaderless.store import Store
from leaderless.store.disk import DamagedError, DiskFullError
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.repair import (
    UNKNOWN_GENERATIONS,
    acknowledge,
    is_suspect,
    is_there,
    mend,
    replacement_in,
    suspect,
)
from leaderless.store.snapshots import incarnation_in, snapshot_of, take
from registry.changes import Create, Incarnation
from registry.models import Registry
from tests.limits import limited
from tests.replicas import START_MS, Replica, add_tree, query_file
from tests.store.damage import damage

NONCE = b"new life"
LATER_MS = START_MS + 3_600_000
_NAMES = "SELECT display_name FROM tag ORDER BY display_name"


def _tag(replica: Replica, name: str, at: int) -> None:
    fields = {"canonical_name": name, "display_name": name}
    create = Create("tag", bytes([at]) * 16, fields)
    replica.store.write_here(lambda tx: tx.commit("tag.create", [create]))


def _damaged(replica: Replica) -> Path:
    """Damage what a replica holds after its snapshot; return the file."""
    add_tree(replica, 500)
    _tag(replica, "early", 1)
    take(replica.store.path, START_MS, lambda: True)
    _tag(replica, "late", 2)
    replica.store.close()
    damage(replica.store.path)
    suspect(replica.store.path)
    return replica.store.path


def _opened(replica: Replica) -> Store:
    store = Store(
        replica.store.path,
        Registry(MODELS),
        replica.clock,
        RecordIds(replica.clock),
        replica.identity.sign,
    )
    store.load()
    replica.store = store
    return store


def test_a_damaged_database_is_replaced_by_its_snapshot(replica: Replica) -> None:
    """It is told of when the snapshot is; the damaged bytes are kept as they are."""
    path = _damaged(replica)
    bad = path.read_bytes()
    replaced = mend(path, LATER_MS, NONCE)
    assert replaced is not None
    assert (replaced.at_ms, replaced.of_ms) == (LATER_MS, START_MS)
    assert path.with_name(replaced.aside).read_bytes() == bad
    assert query_file(path, _NAMES) == [("early",)]
    assert snapshot_of(path).exists()


def test_a_sound_database_is_left_alone(replica: Replica) -> None:
    """Suspected or not; the suspicion is over then."""
    path = replica.store.path
    suspect(path)
    assert is_suspect(path)
    assert mend(path, LATER_MS, NONCE) is None
    assert mend(path, LATER_MS, NONCE) is None
    assert not is_suspect(path)


def test_damage_is_looked_for_after_an_unclean_end(replica: Replica, tmp_path: Path) -> None:
    """A write-ahead log that was left behind says so, and is set aside with its file."""
    add_tree(replica, 500)
    take(replica.store.path, START_MS, lambda: True)
    replica.store.close()  # so that the rows are in the file
    _opened(replica)
    _tag(replica, "late", 2)
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in tmp_path.glob("library0.db*"):
        shutil.copy2(file, killed / file.name)
    with closing(sqlite3.connect(replica.store.path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'entry'"
        ).fetchone()
    with (killed / "library0.db").open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"\xff" * 4_096)
    replaced = mend(killed / "library0.db", LATER_MS, NONCE)
    assert replaced is not None
    assert (killed / f"{replaced.aside}-wal").stat().st_size > 0
    assert not (killed / "library0.db-wal").exists()


def test_a_database_that_ended_cleanly_is_not_looked_at(replica: Replica) -> None:
    """A start is as fast as ever; what is damaged there is met when it is read."""
    path = _damaged(replica)
    path.with_name(f"{path.name}.suspect").unlink()
    assert mend(path, LATER_MS, NONCE) is None
    suspect(path)
    mend(path, LATER_MS, NONCE)


def test_a_database_that_lost_all_its_bytes_is_replaced(replica: Replica) -> None:
    """An empty file is a sound database to SQLite, but no library."""
    path = _damaged(replica)
    path.with_name(f"{path.name}.suspect").unlink()
    path.write_bytes(b"")
    assert mend(path, LATER_MS, NONCE) is not None
    assert query_file(path, _NAMES) == [("early",)]


@pytest.mark.parametrize("good", [None, b"this is a letter" * 1_000])
def test_without_a_good_snapshot_nothing_is_touched(replica: Replica, good: bytes | None) -> None:
    """The error names the file and what to do."""
    path = _damaged(replica)
    kept = snapshot_of(path).read_bytes()
    snapshot_of(path).unlink()
    if good is not None:
        snapshot_of(path).write_bytes(good)
    before = path.read_bytes()
    with pytest.raises(DamagedError, match=path.name) as caught:
        mend(path, LATER_MS, NONCE)
    assert "mv " in (caught.value.hint or "")
    assert path.read_bytes() == before
    path.write_bytes(kept)


def test_without_room_for_it_nothing_is_touched(replica: Replica) -> None:
    """The damaged file stays in its place until there is room; then it is replaced."""
    path = _damaged(replica)
    before = path.read_bytes()
    with limited(65_536), pytest.raises(DiskFullError):
        mend(path, LATER_MS, NONCE)
    assert path.read_bytes() == before
    assert mend(path, LATER_MS, NONCE) is not None


@pytest.mark.parametrize("moved", [(), ("-wal",), ("-wal", "")])
def test_a_replacement_that_was_cut_off_is_gone_on_with(
    replica: Replica, moved: tuple[str, ...]
) -> None:
    """Wherever it stopped, the next start ends it the same way, and there is a device all along."""
    path = _damaged(replica)
    bad = path.read_bytes()
    replaced = mend(path, LATER_MS, NONCE)
    assert replaced is not None
    aside = path.with_name(replaced.aside)
    path.rename(f"{path}.replacement")
    aside.rename(path)
    Path(f"{path}-wal").write_bytes(b"the log of the damaged one")
    for suffix in moved:
        Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    assert is_there(path)
    assert mend(path, LATER_MS + 1, b"other---") is None
    assert query_file(path, _NAMES) == [("early",)]
    assert aside.read_bytes() == bad
    assert Path(f"{aside}-wal").read_bytes() == b"the log of the damaged one"
    assert not Path(f"{path}-wal").exists()


def test_nothing_is_there_where_there_is_no_device(tmp_path: Path) -> None:
    """A home without a database has no device."""
    assert not is_there(tmp_path / "library.db")


# --- going on -------------------------------------------------------------------------------------


def test_a_replaced_database_goes_on_in_a_new_incarnation(replica: Replica) -> None:
    """Once: nothing that was counted before is counted twice, and the next start goes on in it."""
    path = _damaged(replica)
    mend(path, LATER_MS, NONCE)
    _opened(replica).close()
    begun = incarnation_in(path)
    assert begun == Incarnation(2, NONCE)
    _opened(replica)
    assert incarnation_in(path) == begun


def test_incarnations_that_the_damaged_file_had_begun_are_not_used_again(replica: Replica) -> None:
    """What it says still counts, though it is damaged elsewhere."""
    take(replica.store.path, START_MS, lambda: True)
    for nonce in (b"12345678", b"23456789"):
        replica.store.write_here(lambda tx, nonce=nonce: begin_incarnation(tx, nonce))
    add_tree(replica, 500)
    replica.store.close()
    damage(replica.store.path)
    suspect(replica.store.path)
    mend(replica.store.path, LATER_MS, NONCE)
    _opened(replica)
    assert incarnation_in(replica.store.path) == Incarnation(4, NONCE)


def test_where_the_damaged_file_says_nothing_some_incarnations_are_left_out(
    replica: Replica,
) -> None:
    """It may have begun some since the snapshot."""
    path = _damaged(replica)
    path.write_bytes(b"\xff" * 100_000)
    mend(path, LATER_MS, NONCE)
    _opened(replica)
    assert incarnation_in(path) == Incarnation(2 + UNKNOWN_GENERATIONS, NONCE)


async def test_what_was_replaced_is_told_until_somebody_has_seen_it(replica: Replica) -> None:
    """It is remembered in the file; a second look finds nothing to acknowledge."""
    path = _damaged(replica)
    mend(path, LATER_MS, NONCE)
    store = _opened(replica)
    told = await store.read(replacement_in)
    assert told is not None
    assert (told.at_ms, told.above) == (LATER_MS, 0)
    assert await store.write(acknowledge)
    assert await store.read(replacement_in) is None
    assert not await store.write(acknowledge)


def test_a_database_that_never_was_replaced_stays_in_its_incarnation(replica: Replica) -> None:
    """Opening it begins nothing."""
    replica.store.close()
    _opened(replica)
    assert incarnation_in(replica.store.path) == Incarnation(1, bytes([1]) * 8)
    assert query_file(replica.store.path, "SELECT 1 FROM meta WHERE name = 'replaced'") == []
