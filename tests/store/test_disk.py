"""What the disk under a database does, by name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import trio
from sqlalchemy import Connection

from leaderless.store import Transaction, meta
from leaderless.store.disk import (
    ROOM_BYTES,
    DamagedError,
    Disk,
    DiskError,
    DiskFullError,
    DiskReadOnlyError,
    from_system,
    naming,
    probe,
)
from leaderless.store.engine import LOG_PAGES, StoreError
from tests.limits import MIB, limited
from tests.replicas import Replica, query_file
from tests.unprivileged import as_nobody


def _put_rows(tx: Transaction) -> None:
    rows = [(bytes([at]) * 16, f"secret{at}" * 999, "disk") for at in range(200)]
    tx.put("volume", ("uuid", "fingerprint", "display_name"), rows)


# --- names ----------------------------------------------------------------------------------------


async def test_a_limit_that_is_reached_is_a_full_disk(replica: Replica) -> None:
    """SQLite calls a file-size limit an I/O error; nothing of the write is kept."""
    with limited(MIB), pytest.raises(DiskFullError) as caught:
        await replica.store.write(lambda tx: meta.put(tx.conn, "fact", b"x" * 2 * MIB))
    assert "free at least 24 MiB" in (caught.value.hint or "")
    assert query_file(replica.store.path, "SELECT count(*) FROM meta WHERE name = 'fact'") == [(0,)]


async def test_a_full_disk_met_in_a_model_is_named_without_its_rows(replica: Replica) -> None:
    """It is no refusal of the rows by their model, and tells none of their values."""
    with limited(MIB), pytest.raises(DiskFullError) as caught:
        await replica.store.write(_put_rows)
    assert "secret" not in caught.value.message


async def test_reads_and_the_next_write_go_on_after_a_full_disk(replica: Replica) -> None:
    """The connection that failed is as good as new."""
    with limited(MIB):
        with pytest.raises(DiskFullError):
            await replica.store.write(_put_rows)
        own = await replica.store.read(lambda connection: meta.get(connection, meta.OWN_DEVICE))
    assert own == replica.identity.device
    await replica.store.write(_put_rows)
    assert query_file(replica.store.path, "SELECT count(*) FROM volume") == [(200,)]


async def test_overwritten_bytes_are_named_as_damage(replica: Replica) -> None:
    """What SQLite calls malformed is said of the file."""
    with (
        pytest.raises(DamagedError, match=r"library0\.db is damaged"),
        naming(replica.store.path),
    ):
        await replica.store.write(lambda tx: _damage(tx))


def _damage(tx: Transaction) -> None:
    root = tx.conn.exec_driver_sql(
        "SELECT rootpage FROM sqlite_master WHERE name = 'presence'"
    ).scalar_one()
    tx.conn.exec_driver_sql("PRAGMA writable_schema = ON")
    tx.conn.exec_driver_sql(
        "UPDATE sqlite_master SET rootpage = ? WHERE name = 'journal'", (root + 9_999,)
    )
    tx.conn.exec_driver_sql("PRAGMA writable_schema = RESET")
    tx.conn.exec_driver_sql("SELECT count(*) FROM journal").all()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EFBIG, DiskFullError),
        (errno.EROFS, DiskReadOnlyError),
        (errno.EACCES, DiskReadOnlyError),
        (errno.EIO, DiskError),
    ],
)
def test_what_the_system_says_has_a_name(tmp_path: Path, number: int, kind: type) -> None:
    """No room, no right to write, and everything else; each with what to do."""
    said = from_system(OSError(number, os.strerror(number)), tmp_path / "library.db")
    assert type(said) is kind
    assert said.hint


def test_a_folder_that_is_gone_has_no_free_room_to_tell(tmp_path: Path) -> None:
    """The remedy leaves out what cannot be read."""
    said = from_system(OSError(errno.ENOSPC, "full"), tmp_path / "gone" / "library.db")
    assert "cannot be read" in (said.hint or "")


def test_a_reader_that_writes_is_no_trouble_of_the_disk(tmp_path: Path) -> None:
    """An error of ours stays what it is."""
    error = StoreError("a mistake")
    with pytest.raises(StoreError) as caught, naming(tmp_path / "library.db"):
        raise error
    assert caught.value is error


async def test_a_read_that_writes_is_no_trouble_of_the_disk(replica: Replica) -> None:
    """SQLite calls it read-only; the folder takes files, so it is ours."""
    with pytest.raises(Exception, match="readonly") as caught:
        await replica.store.read(
            lambda connection: connection.exec_driver_sql("DELETE FROM presence")
        )
    assert not isinstance(caught.value, DiskError)
    assert replica.store.disk.trouble is None


# --- asking the system ----------------------------------------------------------------------------


def test_room_that_is_there_is_found_and_left(tmp_path: Path) -> None:
    """Nothing is left of the file that was tried."""
    assert probe(tmp_path / "library.db", MIB) is None
    assert list(tmp_path.iterdir()) == []


def test_room_is_asked_for_beyond_the_database(tmp_path: Path) -> None:
    """A limit that the database has nearly reached is met by the probe, too."""
    path = tmp_path / "library.db"
    path.write_bytes(bytes(MIB))
    with limited(MIB + 4_096):
        refused = probe(path, 64 << 10)
    assert refused is not None
    assert refused.errno == errno.EFBIG


def test_a_folder_that_may_not_be_written_is_told() -> None:
    """What the system said comes back."""
    refused = as_nobody(lambda: repr(probe(Path("/library.db"), MIB)))
    assert "Permission denied" in refused


# --- being well -----------------------------------------------------------------------------------


async def test_a_store_remembers_trouble_until_it_is_healed(replica: Replica) -> None:
    """Small writes that succeed meanwhile do not make the disk well; enough room does."""
    store = replica.store
    with limited(MIB):
        with pytest.raises(DiskFullError):
            await store.write(_put_rows)
        await store.write(lambda tx: meta.put(tx.conn, "fact", "small"))
        assert store.disk.trouble is not None
        assert await store.heal() is False
    assert await store.heal() is True
    assert store.disk.trouble is None


async def test_what_was_written_is_so_though_nobody_could_look_at_it(replica: Replica) -> None:
    """The write is done, the disk is not well until who follows hears of what there is."""
    store, told = replica.store, list[object]()
    fails = [DiskError("it cannot be read")] * 2

    def look(database: Connection) -> object:
        if fails:
            raise fails.pop()
        return meta.get(database, "fact")

    store.follow(look, told.append)
    await store.write(lambda tx: meta.put(tx.conn, "fact", "new"))
    assert store.disk.trouble is not None
    assert await store.read(lambda database: meta.get(database, "fact")) == "new"
    assert await store.heal() is False
    assert told == []
    assert await store.heal() is True
    assert (told, store.disk.trouble) == (["new"], None)


async def test_trouble_is_as_old_as_its_first_failure() -> None:
    """What is said is the last failure, since when it lasts the first."""
    disk = Disk()
    disk.failed(DiskFullError("full"), 1)
    disk.failed(DiskReadOnlyError("read-only"), 2)
    trouble = await disk.until_ill()
    assert (trouble.error.code, trouble.since_ms) == ("disk_read_only", 1)


async def test_whoever_waits_for_a_disk_goes_on_when_it_is_well() -> None:
    """At once if it is, else when it has recovered."""
    disk = Disk()
    with trio.fail_after(5):
        await disk.until_well()
        disk.failed(DiskFullError("full"), 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.until_well)
            await trio.testing.wait_all_tasks_blocked()
            assert disk.recovered()


async def test_damage_is_not_waited_away() -> None:
    """It stays what is said, and no write that succeeds ends it."""
    disk = Disk()
    disk.failed(DamagedError("damaged"), 1)
    disk.failed(DiskFullError("full"), 2)
    assert disk.recovered() is False
    assert (await disk.until_ill()).error.code == "database_damaged"


def test_what_has_to_fit_is_a_log_and_what_it_is_folded_into(replica: Replica) -> None:
    """Else a disk would be called well and fail a few batches later, again and again."""
    with replica.store._writer.begin() as connection:
        pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    assert pages == LOG_PAGES
    assert 2 * pages * size <= ROOM_BYTES


async def test_a_log_that_fills_the_room_is_folded_in(replica: Replica) -> None:
    """A file that may not grow has pages that may be written anew, which needs no room at all."""
    store = replica.store

    async def fill(value: bytes) -> None:
        await store.write(lambda tx: meta.put(tx.conn, "fact", value * MIB))

    for value in (b"x", b"y"):
        await fill(value)
    log = store.path.with_name(f"{store.path.name}-wal").stat().st_size
    with limited(log + MIB // 2):
        with pytest.raises(DiskFullError):
            await fill(b"z")
        await store.heal()  # there is no room for more than a little, and it says so
        await fill(b"z")
    assert store.disk.trouble is not None
