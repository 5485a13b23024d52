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


def test_what_can_be_done_with_devices_stands_in_the_list_of_verbs(ask: Ask) -> None:
    """Whoever has lost one finds the way there."""
    (line,) = [line for line in ask("--help").out.splitlines() if line.split()[:1] == ["device"]]
    assert all(verb in line for verb in ("rename", "revoke", "claim"))


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


def _asked(*, this_device: bool = False) -> bytes:
    """Return what a daemon answers who is asked whom a revoke would be about."""
    return http({"device_id": "ab" * 16, "name": "ben", "this_device": this_device})


def test_a_revoke_asks_or_is_told_yes(tmp_path: Path) -> None:
    """Without a person to ask it is refused, and the command that does it is named."""
    with answering(tmp_path, _asked()):
        said = run("--home", str(tmp_path), "device", "revoke", "ben")
    assert said.code == 2
    assert f"leaderless --home {tmp_path} device revoke ben --yes" in said.err


def test_who_cannot_be_revoked_is_said_before_anybody_is_asked(ask: Ask) -> None:
    """A device that is not there, and the last that may revoke others."""
    assert ask("device", "revoke", "nobody").code == 5
    own = ask("--json", "status").json()["device"]
    assert ask("device", "revoke", own).code == 4


def test_to_revoke_the_device_itself_is_warned_of(tmp_path: Path) -> None:
    """In any case: who said yes may have meant another."""
    answer = {"device_id": "ab" * 16, "name": "ben", "at_ms": "1"}
    with answering(tmp_path, _asked(this_device=True), http(answer)):
        said = run("--home", str(tmp_path), "device", "revoke", "ben", "--yes")
    assert said.err.startswith("Careful: this is the device that you are at.")


def test_a_revoked_device_is_told_of(tmp_path: Path) -> None:
    """In words, or as it was answered."""
    answer = {"device_id": "ab" * 16, "name": "ben\x1b[31m", "at_ms": "1"}
    for form in ((), ("--json",)):
        home = tmp_path / f"home{len(form)}"
        home.mkdir()
        with answering(home, _asked(), http(answer)) as requests:
            said = run("--home", str(home), "device", "revoke", "ben", "--yes", *form)
        assert (said.code, b'"device": "ben"' in requests[1]) == (0, True)
        assert "\x1b" not in said.out + said.err
    assert said.json()["name"] == "ben\x1b[31m"


def test_the_list_says_who_was_revoked(tmp_path: Path) -> None:
    """By whom and when, in place of where it is."""
    device = {
        "name": "ben",
        "this_device": False,
        "online": False,
        "os": None,
        "os_version": None,
        "rows": "3",
        "verified": True,
        "last_seen_ms": None,
        "id": "ab" * 16,
        "revoked": {"by": "anna", "at_ms": "1800000000000"},
    }
    with answering(tmp_path, http({"devices": [device]})):
        out = run("--home", str(tmp_path), "device", "list").out
    assert "revoked by anna on 2027-01-15" in out
