"""verify and diff, between two real daemons and of one that answers as a test wants."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scripts.device import Device, pair
from tests.cli.conftest import OPTIONS


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Device, Device]]:
    """Run two daemons of one library that are in sync."""
    made = [Device(tmp_path_factory.mktemp(name), name, OPTIONS) for name in ("anna", "ben")]
    folder = tmp_path_factory.mktemp("folder")
    for at in range(50):
        (folder / f"file {at}").write_text(str(at))
    for device in made:
        device.start()
    pair(made[0], made[1], "127.0.0.1")
    made[0].run("location", "add", str(folder), "--wait")
    made[1].run("tag", "create", "trip")
    made[1].run("wait", "--synced", "--timeout", "60")
    yield made[0], made[1]
    for device in made:
        device.stop()


def _damage(device: Device, statement: str) -> None:
    (database,) = Path(device.home).rglob("library.db")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def test_a_damaged_row_is_named_found_and_fetched_anew(devices: tuple[Device, Device]) -> None:
    """Diff names it, verify mends it, and after that both hold the same."""
    anna, ben = devices
    assert ben.json("verify")["right"] is True
    assert ben.run("diff", "anna").returncode == 0
    _damage(ben, "UPDATE entry SET size_bytes = 7000 WHERE name = CAST('file 7' AS BLOB)")
    named = ben.run("--json", "diff", "anna", code=6)
    assert b'"name": "file 7"' in named.stdout
    assert b"file 7" in ben.run("diff", "anna", code=6).stdout
    told = ben.run("verify", code=6)
    assert b"rows of anna: wrong: " in told.stdout
    ben.run("wait", "--synced", "--timeout", "60")
    told = ben.run("verify")
    assert b" 1 shared record: as they should be" in told.stdout
    assert b"anna: identical, proved " in told.stdout
    assert b" 1 row of ben: as they should be" in told.stdout
    assert anna.export() == ben.export()


def test_a_device_that_is_not_there_cannot_be_compared(devices: tuple[Device, Device]) -> None:
    """One that nobody knows, and oneself."""
    anna, _ = devices
    assert anna.run("diff", "nobody", code=5).stderr
    anna.run("diff", "anna", code=2)


def test_shared_records_are_counted_alike_by_all_who_count(devices: tuple[Device, Device]) -> None:
    """Verify counts what is alive; rebuild names what is deleted apart."""
    anna, _ = devices
    for name in ("short", "shorter"):
        anna.run("tag", "create", name)
    anna.run("tag", "delete", "shorter")
    (shared,) = [item for item in anna.json("verify")["counts"] if item["device"] is None]
    told = anna.run("rebuild").stdout.decode()
    assert f"make {shared['rows']} shared records, and 1 deleted one." in told
