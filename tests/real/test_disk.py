"""Daemons on disks that are full, read-only or broken."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts.device import Device, pair
from tests.real.conftest import LOCAL
from tests.real.disks import Disk, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZE_BYTES = 96 << 20
ENTRIES = 20_000
PATIENCE_S = 90.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small disk where the home of device b will be."""
    with mounted(tmp_path / "image", tmp_path / "b", SIZE_BYTES) as made:
        yield made


@pytest.fixture
def b(disk: Disk) -> Iterator[Device]:
    """Run a device on the small disk."""
    device = Device(disk.folder, "b", LOCAL)
    device.start()
    yield device
    device.stop()


def _tree(folder: Path, count: int) -> Path:
    folder.mkdir()
    for at in range(count):
        (folder / f"a file with a name that takes some room {at}").symlink_to("nowhere")
    return folder


def _alerts(device: Device) -> set[str]:
    return {alert["code"] for alert in device.json("status")["warnings"]}


def _until(what: Callable[[], bool], said: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def _cpu_s(device: Device) -> float:
    fields = Path(f"/proc/{device.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_full_disk_stops_nothing_for_good(
    make_device: Callable[..., Device], disk: Disk, b: Device, tmp_path: Path
) -> None:
    """Filled in the middle of a backfill and a scan: refused, shown, readable; freed: all there."""
    a = make_device("a")
    pair(a, b, "127.0.0.1")
    b.run("tag", "create", "before")
    disk.fill(left_bytes=3 << 20)
    a.run("location", "add", str(_tree(tmp_path / "far", ENTRIES)), "--wait")
    b.run("location", "add", str(_tree(tmp_path / "near", ENTRIES)), code=None)
    _until(lambda: "DISK_FULL" in _alerts(b), "nobody says that the disk is full")
    disk.fill()
    error = _full_edit(b)
    assert error["code"] == "disk_full"
    assert "free at least" in error["hint"]
    assert b.json("tag", "show", "before")["tag"]["canonical_name"] == "before"
    assert a.json("status")["in_sync"] is False
    began, before = time.monotonic(), _cpu_s(b)
    a.run("wait", "--synced", "--timeout", "5", code=75)
    assert _cpu_s(b) - before < 0.3 * (time.monotonic() - began)
    disk.clear()
    _until(lambda: not _alerts(b) & {"DISK_FULL"}, "it does not go on by itself")
    scanned = ("find", f"some room {ENTRIES - 1}", "--device", "b")
    _until(lambda: b.run(*scanned, code=None).returncode == 0, "the scan does not go on")
    b.run("wait", "--synced", "--timeout", "60")
    assert a.export() == b.export()
    assert b.export().count(b'"model":"entry"') >= 2 * ENTRIES


def _full_edit(device: Device) -> dict[str, str]:
    """Edit until the room that is left over is used up; return how the edit after it is refused."""
    for at in range(200):
        done = device.run(
            "--json", "tag", "create", f"{at}", f"description={'x' * 30_000}", code=None
        )
        if done.returncode != 0:
            error: dict[str, str] = json.loads(done.stdout)["error"]
            return error
    raise AssertionError("every edit fits on a full disk")


def test_a_disk_that_turns_read_only_is_named_and_loses_nothing(disk: Disk, b: Device) -> None:
    """Edits are refused and reads answered; a start there is refused by name; mended, all is there."""
    b.run("tag", "create", "kept")
    disk.fail()
    assert _refusal(b, "tag", "create", "refused")["code"] == "disk_read_only"
    assert "DISK_READ_ONLY" in _alerts(b)
    assert [tag["canonical_name"] for tag in b.json("tag", "list")["tags"]] == ["kept"]
    b.stop()
    assert _refusal(b, "serve")["code"] == "disk_read_only"
    disk.repair()
    b.start()
    assert [tag["canonical_name"] for tag in b.json("tag", "list")["tags"]] == ["kept"]
    assert not _alerts(b)


def test_a_disk_that_fails_every_access_is_named_and_loses_nothing(disk: Disk, b: Device) -> None:
    """The daemon stays up and says what is wrong; no sound file passes for a damaged one."""
    b.run("tag", "create", "kept")
    disk.break_down()
    assert _refusal(b, "tag", "create", "refused")["code"] == "disk_error"
    done = b.run("--json", "status", code=None)
    said = json.loads(done.stdout)
    assert "disk" in (said["error"]["code"] if done.returncode else said["verdict"])
    assert Path(f"/proc/{b.pid}").exists()
    b.stop()
    disk.repair()
    b.start()
    assert [tag["canonical_name"] for tag in b.json("tag", "list")["tags"]] == ["kept"]
    assert sorted(path.name for path in (b.home / "state").glob("library.db*corrupt*")) == []


def _refusal(device: Device, *arguments: str) -> dict[str, str]:
    error: dict[str, str] = json.loads(device.run("--json", *arguments, code=1).stdout)["error"]
    return error
