"""Daemons whose database was damaged: it is set aside, replaced, and filled up again from peers."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from scripts.device import pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.device import Device

ENTRIES = 3_000


def _tree(folder: Path) -> Path:
    folder.mkdir()
    for at in range(ENTRIES):
        (folder / f"file {at}").touch()
    return folder


def _database(device: Device) -> Path:
    return device.home / "state" / "library.db"


def _flip(device: Device) -> None:
    """Overwrite the inner pages of the table of entries, as a failing disk may."""
    database = _database(device)
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'entry' AND rootpage > 0"
        pages = [page for (page,) in connection.execute(query)]
    with database.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4_096)
            file.write(b"\xff" * 4_096)


def _tags(device: Device) -> list[bytes]:
    return [line for line in device.export().splitlines() if b'"model":"tag"' in line]


def _entries(device: Device) -> dict[str, str]:
    """Return the id of each file by its name."""
    lines = map(json.loads, device.export().splitlines())
    return {line["fields"]["name"]: line["id"] for line in lines if line["model"] == "entry"}


def _replaced(device: Device) -> bool:
    alerts = device.json("status")["warnings"]
    return "DATABASE_REPLACED" in {alert["code"] for alert in alerts}


def _waits(device: Device) -> bool:
    """Return whether a device takes back what its peers know of it."""
    alerts = device.json("status")["warnings"]
    return "RESTORING" in {alert["code"] for alert in alerts}


def _has_replaced(device: Device) -> bool:
    """Return the same of a device that may not answer at the moment."""
    said = device.run("--json", "status", code=None)
    return said.returncode == 0 and b"DATABASE_REPLACED" in said.stdout


def test_a_damaged_database_is_replaced_and_filled_up_from_peers(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """What came after the snapshot is there again from the peer, with its ids; tags, too."""
    a, b = make_device("a"), make_device("b")
    pair(a, b, "127.0.0.1")
    b.run("location", "add", str(_tree(tmp_path / "near")), "--wait")
    b.run("tag", "create", "early")
    b.stop()  # makes the snapshot
    b.start()
    b.run("tag", "create", "late")
    (tmp_path / "near" / "late file").touch()
    b.run("location", "scan", "near", "--wait")
    a.run("tag", "create", "far")
    b.run("wait", "--synced", "--timeout", "60")
    before, files = _tags(b), _entries(b)
    b.kill()
    _flip(b)
    b.start()
    assert _replaced(b)
    deadline = time.monotonic() + 60
    while _waits(b):
        assert time.monotonic() < deadline, "it does not go on"
        time.sleep(0.1)
    b.run("location", "scan", "near", "--wait")
    b.run("wait", "--synced", "--timeout", "60")
    a.run("wait", "--synced", "--timeout", "60")
    assert a.export() == b.export()
    assert _tags(b) == before
    assert _entries(b) == files
    assert b.export().count(b'"model":"entry"') == ENTRIES + 2
    a.run("find", "late file")
    aside = sorted(path.name for path in (b.home / "state").glob("library.db.corrupt-*"))
    assert aside
    b.run("tag", "create", "new")
    b.run("wait", "--synced", "--timeout", "60")
    assert a.json("tag", "show", "new")["tag"]["canonical_name"] == "new"
    assert "DATABASE_REPLACED" not in b.run("--json", "status", "--acknowledge").stdout.decode()
    assert not _replaced(b)


def test_damage_that_is_met_while_running_is_mended_by_itself(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """The daemon sets the file aside and goes on, without a service manager to start it."""
    b = make_device("b")
    b.run("location", "add", str(_tree(tmp_path / "near")), "--wait")
    b.stop()
    _flip(b)
    b.start()
    deadline = time.monotonic() + 60
    while not _has_replaced(b):
        assert time.monotonic() < deadline, "nobody meets the damage"
        b.run("find", "file", code=None)
    b.run("location", "scan", "near", "--wait")
    assert b.export().count(b'"model":"entry"') == ENTRIES + 1


def test_without_a_snapshot_the_file_and_the_commands_are_named(
    make_device: Callable[..., Device], tmp_path: Path
) -> None:
    """Nothing is replaced by nothing: the daemon does not start, and says what to do."""
    b = make_device("b")
    b.run("location", "add", str(_tree(tmp_path / "near")), "--wait")
    b.kill()
    _flip(b)
    done = b.run("--json", "serve", code=1)
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "database_damaged"
    assert str(_database(b)) in error["message"]
    assert "mv " in error["hint"]
    assert _database(b).exists()
    _database(b).unlink()
