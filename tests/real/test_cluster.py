"""Real daemons in a line."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.devcluster import Cluster, parse_topology
from scripts.device import Device, pair

DEADLINE_S = 60


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Cluster]:
    """Run a line of three devices."""
    cluster = Cluster(tmp_path, parse_topology(["a-b", "b-c"]))
    cluster.start()
    yield cluster
    cluster.stop()
    for device in cluster.devices.values():
        with sqlite3.connect(device.home / "state" / "library.db") as database:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        database.close()


def _until_equal(*devices: Device) -> bytes:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        exports = {device.export() for device in devices}
        if len(exports) == 1:
            return exports.pop()
        assert time.monotonic() < deadline, "the devices do not become equal"


def _tree(folder: Path, count: int) -> Path:
    (folder / "inside").mkdir(parents=True)
    for at in range(count):
        (folder / "inside" / f"file{at}").touch()
    return folder


def test_a_line_relays_while_the_owner_is_off_and_a_newcomer_gets_everything(
    line: Cluster, tmp_path: Path
) -> None:
    """C gets a's entries and tags from b while a is off; d, paired with c alone, gets all."""
    a, b, c = (line.devices[name] for name in "abc")
    b.run("wait", "--synced", "--timeout", "30")
    c.stop()
    a.run("location", "add", str(_tree(tmp_path / "files", 2_000)), "--wait")
    a.run("tag", "create", "trip")
    _until_equal(a, b)
    a.stop()
    c.start()
    assert _until_equal(b, c).count(b"\n") > 2_000
    nowhere = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
    port = c.json("config", "show")["options"]["listen_port"]
    d = Device(tmp_path / "d", "d", nowhere + f'peers = ["127.0.0.1:{port}"]\n')
    d.start()
    try:
        pair(c, d, "127.0.0.1")
        _until_equal(b, c, d)
        assert d.json("tag", "show", "trip")["tag"]["canonical_name"] == "trip"
    finally:
        d.stop()


def test_a_renamed_tree_is_one_row_and_a_deleted_one_stays_deleted(
    line: Cluster, tmp_path: Path
) -> None:
    """10,000 descendants move with one changed row; deleted, they are gone after restarts, too."""
    a, b, c = (line.devices[name] for name in "abc")
    folder = _tree(tmp_path / "files", 10_000)
    a.run("location", "add", str(folder), "--wait")
    before = _until_equal(a, b, c)
    (folder / "inside").rename(folder / "renamed")
    a.run("location", "scan", "files", "--wait")
    after = _until_equal(a, b, c)
    changed = set(after.splitlines()) - set(before.splitlines())
    # The directory, and its parent, whose time changed with it.
    assert len(changed) == 2
    for item in (folder / "renamed").iterdir():
        item.unlink()
    (folder / "renamed").rmdir()
    a.run("location", "scan", "files", "--accept-deletes", "--wait")
    gone = _until_equal(a, b, c)
    assert gone.count(b'"model":"entry"') == 1
    for device in (a, b, c):
        device.kill()
        device.start()
    for device in (a, b, c):
        device.run("wait", "--synced", "--timeout", "30")
        assert device.export().count(b'"model":"entry"') == 1


def test_a_topology_says_what_is_wrong_with_it() -> None:
    """Half a pair and an island are refused."""
    for edges in (["a"], ["a-a"], ["a-b", "c-d"]):
        with pytest.raises(ValueError, match=r"no pair|not connected"):
            parse_topology(edges)
