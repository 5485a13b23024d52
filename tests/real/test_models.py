"""A model of one's own, installed as a package for real daemons."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.devcluster import Cluster, parse_topology
from scripts.device import Device
from tests.bookmark import files, write_package

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


def _environment(folder: Path) -> str:
    """Make a virtual environment that has what this one has; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "outer.pth").write_text("\n".join([str(ROOT), *here]) + "\n")
    return str(folder / "bin" / "python")


def _install(interpreter: str, package: Path) -> None:
    """Install a package as a person does, from here alone."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [interpreter, "-m", "pip", "install", *options, str(package)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write the package of the page."""
    return write_package(tmp_path / "leaderless-bookmark")


@pytest.fixture
def line(tmp_path: Path, package: Path) -> Iterator[Cluster]:
    """Run a line of four devices; c is the only one without the package."""
    having, lacking = _environment(tmp_path / "having"), _environment(tmp_path / "lacking")
    _install(having, package)
    interpreters = {"a": having, "b": having, "c": lacking, "d": having}
    cluster = Cluster(tmp_path, parse_topology(["a-b", "b-c", "c-d"]), interpreters)
    cluster.start()
    yield cluster
    cluster.stop()


def _until_equal(*devices: Device) -> bytes:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        exports = {device.export() for device in devices}
        if len(exports) == 1:
            return exports.pop()
        assert time.monotonic() < deadline, "the devices do not become equal"


def _bookmarks(device: Device) -> list[dict[str, Any]]:
    return [item["fields"] for item in device.json("record", "list", "bookmark")["records"]]


def _warnings(device: Device) -> list[str]:
    return [item["code"] for item in device.json("status")["warnings"]]


def test_a_model_of_a_package_syncs_past_a_device_that_does_not_know_it(
    line: Cluster, package: Path
) -> None:
    """Kept and relayed untouched, edited beyond it, and shown there once the package is installed."""
    a, b, c, d = (line.devices[name] for name in "abcd")
    made = a.json(
        "record", "create", "bookmark", "url=https://sqlite.org", "title=SQLite", "tags=+db,+c"
    )
    uuid = made["record"]["id"]
    before = _until_equal(a, b, c, d)
    assert uuid.encode() in before
    assert _bookmarks(b) == _bookmarks(d) == [made["record"]["fields"]]
    assert c.run("record", "list", "bookmark", code=5).stdout == b""
    (kept,) = [item for item in c.json("record", "models")["models"] if item["records"] != "0"]
    assert (kept["model"], kept["version"], kept["fields"]) == ("bookmark", None, None)

    d.run("record", "set", "bookmark", uuid[:12], "tags=+sql,-c", "title=SQLite home")
    d.run("record", "create", "bookmark", "url=https://trio.readthedocs.io")
    _until_equal(a, b, c, d)
    expected = {"url": "https://sqlite.org", "title": "SQLite home", "tags": ["db", "sql"]}
    assert _bookmarks(a)[0] == expected

    for device in (a, b, d):
        device.stop()
    c.stop()
    _install(c.interpreter, package)
    c.start()
    assert _bookmarks(c) == [
        expected,
        {"url": "https://trio.readthedocs.io", "title": None, "tags": []},
    ]
    c.run("record", "delete", "bookmark", uuid)
    for device in (a, b, d):
        device.start()
    _until_equal(a, b, c, d)
    for device in (a, b, c, d):
        assert [item["url"] for item in _bookmarks(device)] == ["https://trio.readthedocs.io"]
        assert _warnings(device) == []
        assert device.json("rebuild")["equal"] is True


def test_a_broken_package_stops_nothing(tmp_path: Path, package: Path) -> None:
    """The daemon runs, its status names the package and the reason; mended, it is used."""
    interpreter = _environment(tmp_path / "environment")
    module = package / "leaderless_bookmark.py"
    module.write_text(files()[module.name].replace('"bookmark",', '"tag",'))
    _install(interpreter, package)
    options = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
    device = Device(tmp_path / "home", "anna", options, interpreter=interpreter)
    device.start()
    try:
        (warning,) = device.json("status")["warnings"]
        assert warning["code"] == "PACKAGE_LEFT_OUT"
        assert "leaderless-bookmark" in warning["text"]
        assert "two models are called tag" in warning["text"]
        device.run("tag", "create", "trip")
        device.stop()
        module.write_text(files()[module.name])
        subprocess.run(
            [interpreter, "-m", "pip", "uninstall", "-q", "-y", "leaderless-bookmark"], check=True
        )
        _install(interpreter, package)
        device.start()
        assert _warnings(device) == []
        device.run("record", "create", "bookmark", "url=https://sqlite.org")
    finally:
        device.stop()
