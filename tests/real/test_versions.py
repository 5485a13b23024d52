"""Daemons of released versions, from git's history, with daemons of today: over real connections."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts.device import pair
from tests.real.conftest import LOCAL
from tests.releases.kept import FIXTURES, RELEASES

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.device import Device

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=RELEASES)
def checkout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of one released version after the other."""
    about = json.loads((FIXTURES / request.param / "about.json").read_text())
    folder = tmp_path_factory.mktemp("checkout")
    packed = folder / "archive.tar"
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", f"--output={packed}", about["revision"]],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (
        f"version {request.param} cannot be run, as git's history here does not reach back to it"
        f" (git fetch --unshallow): {done.stderr}"
    )
    # Not tarfile: Python 3.11 took up its filters in the middle of its patches.
    (folder / request.param).mkdir()
    subprocess.run(["tar", "-xf", str(packed), "-C", str(folder / request.param)], check=True)
    return folder / request.param


def _of(checkout: Path) -> tuple[str, ...]:
    """Return what stands before the command of a device that runs that version."""
    return ("env", "-C", str(checkout), f"PYTHONPATH={checkout}")


def _files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    return folder


def _in_sync(*devices: Device) -> None:
    """Have each device show that it holds what the others hold, and export the same."""
    for device in devices:
        device.run("wait", "--synced", "--timeout", "60")
    assert len({device.export() for device in devices}) == 1


def _tag(device: Device, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = device.json("tag", "show", name)["tag"]
    return shown


@pytest.mark.parametrize("host_is_old", [True, False])
def test_a_released_version_and_today_s_hold_the_same(
    make_device: Callable[..., Device], checkout: Path, tmp_path: Path, *, host_is_old: bool
) -> None:
    """Whoever asked whom: both are filled, edits go both ways as they come, and both prove it."""
    old, new = make_device("old", prefix=_of(checkout)), make_device("new")
    assert checkout.name in old.run("--version").stdout.decode()
    assert checkout.name not in new.run("--version").stdout.decode()
    for device, name in ((old, "far"), (new, "near")):
        folder = _files(tmp_path / name, "a.txt", "b.txt", os.fsdecode(b"caf\xe9"))
        device.run("location", "add", str(folder), "--mode", "content", "--wait")
        device.run("tag", "create", f"of-{name}", "color=red")
    host, joiner = (old, new) if host_is_old else (new, old)
    pair(host, joiner, "127.0.0.1")
    _in_sync(old, new)
    old.run("tag", "set", "of-near", "color=blue")
    new.run("tag", "set", "of-far", "color=green")
    new.run("tag", "add", "of-far", str(tmp_path / "near" / "a.txt"))
    (tmp_path / "far" / "c.txt").write_text("c")
    old.run("location", "scan", "far", "--wait")
    _in_sync(old, new)
    assert [_tag(device, "of-near")["color"] for device in (old, new)] == ["blue", "blue"]
    assert [_tag(device, "of-far")["color"] for device in (old, new)] == ["green", "green"]


def test_a_device_that_is_upgraded_goes_on(
    make_device: Callable[..., Device], checkout: Path, tmp_path: Path
) -> None:
    """In the same home, with the same key: what was edited meanwhile on either side arrives."""
    old = make_device("old", prefix=_of(checkout))
    device = make_device("device", prefix=_of(checkout))
    device.run("location", "add", str(_files(tmp_path / "near", "a.txt")), "--wait")
    pair(old, device, "127.0.0.1")
    _in_sync(old, device)
    device.stop()
    old.run("tag", "create", "meanwhile")
    device.become(())
    device.start()
    device.run("tag", "create", "upgraded")
    _in_sync(old, device)
    assert device.json("verify")["right"]
    _tag(old, "upgraded")
    _tag(device, "meanwhile")


def _forget(device: Device) -> None:
    """Leave nothing of a stopped device's own commits but their headers."""
    with closing(sqlite3.connect(device.home / "state" / "library.db")) as database, database:
        database.execute(
            "UPDATE commit_log SET body = NULL WHERE feed IN (SELECT f.id FROM feed f, meta m"
            " WHERE m.name = 'own_device' AND substr(f.feed, 1, 16) = m.value)"
        )


def _until(what: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.2)


def test_a_device_too_old_for_what_was_forgotten_is_told_and_loses_nothing(
    make_device: Callable[..., Device], checkout: Path
) -> None:
    """Both name it in words, its own edits arrive; upgraded, it holds what the other does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = LOCAL.replace("listen_port = 0", f"listen_port = {port}")
    old, new = make_device("old", prefix=_of(checkout)), make_device("new", found)
    pair(new, old, "127.0.0.1")
    new.run("tag", "create", "known")
    _in_sync(old, new)
    old.stop()
    new.run("tag", "create", "forgotten")
    new.run("tag", "delete", "known")
    new.stop()
    _forget(new)
    new.start()
    old.start()
    old.run("tag", "create", "mine")

    def heard() -> bool:
        return new.run("tag", "show", "mine", code=None).returncode == 0

    def named() -> bool:
        alerts = new.json("status")["warnings"]
        return "OLDER_PEER" in {alert["code"] for alert in alerts}

    _until(heard, "the edits of the older device do not arrive")
    _until(named, "status does not name the older device")
    log = old.home / "daemon.log"
    _until(lambda: b"upgrade it" in log.read_bytes(), "it is not told to upgrade")
    assert "Not in sync" in old.json("status")["verdict"]
    old.stop()
    old.become(())
    old.start()
    _in_sync(old, new)
    _tag(old, "forgotten")
    assert old.run("tag", "show", "known", code=None).returncode != 0
