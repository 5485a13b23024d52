"""device and volume, asked of a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.device import Device
from tests.cli.asking import Said, answering, http, run

Ask = Callable[..., Said]


def test_this_device_is_marked_in_the_list(ask: Ask) -> None:
    """It is online, as it answers."""
    heading, *rows = ask("device", "list").out.splitlines()
    assert heading.split()[:2] == ["NAME", "NOW"]
    assert any("(this device)" in row and "online" in row for row in rows)


def test_a_device_is_claimed(ask: Ask) -> None:
    """It goes on in another incarnation, as it is."""
    first = ask("device", "claim", "--json").json()["generation"]
    assert ask("device", "claim").err.startswith("This machine goes on as the device")
    assert ask("device", "claim", "--json").json()["generation"] == first + 4
    assert ask("verify").code == 0


def test_the_device_is_renamed(ask: Ask, daemon: Device) -> None:
    """With one name this device is meant, with two the first says which."""
    assert ask("device", "rename", "box").code == 0
    assert ask("device", "rename", "box", "anna").code == 0
    assert ask("--json", "status").json()["device"] == "anna"


def test_a_name_that_is_not_utf8_is_refused(ask: Ask) -> None:
    """Exit 2, and the device is called as before."""
    before = ask("--json", "status").json()["device"]
    assert ask("device", "rename", "caf\udce9").code == 2
    assert ask("--json", "status").json()["device"] == before


def test_a_device_that_is_not_there_is_not_renamed(ask: Ask) -> None:
    """Exit 5."""
    assert ask("device", "rename", "nobody", "x").code == 5


def test_every_list_answers_in_json(ask: Ask) -> None:
    """One object with a schema each."""
    answers = [ask("--json", kind, "list").json()["schema"] for kind in ("device", "volume")]
    assert answers == [1, 1]


def test_a_drive_has_a_row_for_each_device_that_saw_it(tmp_path: Path) -> None:
    """Also where it is not plugged in now; names steer no terminal."""
    drive = {
        "display_name": "backup\x1b[31m",
        "file_system": "ext4",
        "volume_type": "removable",
        "total_bytes": "1024",
        "seen_on": [
            {"device": "anna", "mount_point": None, "online": True},
            {"device": "ben", "mount_point": {"b64": "L2NhZuk="}, "online": False},
        ],
    }
    with answering(tmp_path, http({"volumes": [drive]})):
        lines = run("--home", str(tmp_path), "volume", "list").out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:3] == ["backup\\x1b[31m", "ext4", "removable"]
    assert "/caf\\xe9" in lines[2]
