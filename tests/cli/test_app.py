"""The command line against a real daemon, and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device
from tests.cli.asking import run

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run one daemon for all of these tests."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    yield made
    made.stop()


def test_without_a_daemon_it_says_which_command_starts_one(tmp_path: Path) -> None:
    """Exit code 3, nothing on standard output, the command on standard error."""
    command = [sys.executable, "-m", "leaderless", "--home", str(tmp_path), "status"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (3, b"")
    assert f"leaderless --home {tmp_path} init".encode() in done.stderr


def test_status_begins_with_the_verdict(device: Device) -> None:
    """The first line is the verdict in words; JSON has a schema."""
    assert device.run("status").stdout.startswith(b"Alone: ")
    assert device.json("status")["schema"] == 1


@pytest.mark.parametrize("group", ["device", "location", "tag", "album", "conflicts", "meta"])
def test_help_says_whole_sentences(group: str) -> None:
    """What a verb does is not cut off in the list of verbs."""
    said = run(group, "--help").out
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tag", "show", "nobody"], 5),
        (["find", "no-such-name-anywhere"], 5),
        (["tag", "create"], 2),
        (["tag", "create", "x", "nonsense=1"], 2),
        (["tag", "create", "x", "nonsense"], 2),
        (["find", "x", "--larger", "much"], 2),
        (["wait"], 2),
        (["wait", "--synced", "--timeout", "0"], 75),
        (["location", "add", "/no/such/folder"], 5),
        (["location", "add", "/etc/passwd"], 2),
        (["pair", "4-not-a-code"], 2),
        (["pair", "4-maple-otter-lemon"], 2),
        (["service", "nonsense"], 2),
    ],
)
def test_exit_codes_tell_what_went_wrong(device: Device, arguments: list[str], code: int) -> None:
    """Scripts can tell errors apart, and standard output stays clean."""
    done = device.run(*arguments, code=None)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr


def test_errors_are_json_when_asked(device: Device) -> None:
    """With --json an error is an object with code, message and hint."""
    done = device.run("--json", "tag", "show", "nobody", code=5)
    assert json.loads(done.stdout)["error"]["code"] == "not_found"


def test_a_tag_lives_and_dies_and_lives_again(device: Device) -> None:
    """Create, set, show, rename, delete and restore do what they say."""
    device.run("tag", "create", "trip", "color=red", "aliases=+tour,+journey")
    device.run("tag", "set", "trip", "aliases=-tour", "attributes=place=sea", "search_weight=5")
    device.run("tag", "rename", "trip", "voyage")
    shown = device.json("tag", "show", "journey")["tag"]
    assert (shown["canonical_name"], shown["color"]) == ("voyage", "red")
    assert (shown["aliases"], shown["attributes"]) == (["journey"], {"place": "sea"})
    device.run("tag", "delete", "voyage")
    assert device.run("tag", "show", "voyage", code=None).returncode == 5
    device.run("tag", "restore", "voyage")
    assert device.json("tag", "show", "voyage")["tag"]["search_weight"] == 5


def test_strange_names_are_harmless_on_a_terminal(device: Device, tmp_path: Path) -> None:
    """Escapes and broken text are spelled out; JSON keeps the bytes."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in (b"caf\xe9", b"red\x1b[31m"):
        (folder / os.fsdecode(name)).touch()
    device.run("location", "add", str(folder), "--wait")
    shown = device.run("find", "red").stdout
    assert b"\x1b" not in shown
    assert b"red\\x1b[31m" in shown
    assert b"caf\\xe9" in device.run("find", "caf").stdout
    (entry,) = device.json("find", "caf")["entries"]
    assert set(entry["path"]) == {"b64"}
    device.run("location", "remove", "strange")
    assert device.run("find", "caf", code=None).returncode == 5


def test_lists_and_config_answer(device: Device) -> None:
    """Every list works on a device alone, in words and in JSON."""
    for verb in (["device", "list"], ["volume", "list"], ["location", "list"], ["peers"]):
        device.run(*verb)
        assert device.json(*verb)["schema"] == 1
    device.run("tag", "list")
    device.run("conflicts")
    assert device.json("config", "show")["options"]["mdns"] is False
    device.run("config", "check")
    device.run("device", "rename", "anne")
    assert device.json("status")["device"] == "anne"


def test_a_code_can_be_shown_and_withdrawn(device: Device) -> None:
    """A code is a digit and three words; after withdrawal none is open."""
    shown = device.json("pair", "--no-wait")
    assert len(shown["code"].split("-")) == 4


def test_completion_knows_names(device: Device) -> None:
    """The shell completes names that only the daemon knows."""
    device.run("tag", "create", "completable")
    environment = {
        **os.environ,
        "_LEADERLESS_COMPLETE": "bash_complete",
        "COMP_WORDS": f"leaderless --home {device.home} tag show compl",
        "COMP_CWORD": "5",
    }
    command = [sys.executable, "-m", "leaderless"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert b"completable" in done.stdout
    assert b"_LEADERLESS_COMPLETE" in device.run("completion", "bash").stdout


def test_a_second_daemon_is_refused(device: Device) -> None:
    """One home has one daemon."""
    done = device.run("serve", code=None)
    assert done.returncode == 1
    assert b"running already" in done.stderr


def test_init_is_done_once(device: Device) -> None:
    """A home that has a device is not made again."""
    assert device.run("init", code=None).returncode == 1


def test_a_broken_configuration_is_found(tmp_path: Path) -> None:
    """`config check` exits 6 and names file, line and the nearest option."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "leaderless.toml").write_text("listen_prot = 1\n")
    command = [sys.executable, "-m", "leaderless", "--home", str(tmp_path), "config", "check"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 6
    assert b"leaderless.toml:1" in done.stderr
    assert b"listen_port" in done.stderr
