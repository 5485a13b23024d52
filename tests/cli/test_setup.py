"""init, config and completion."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.cli.asking import Said, paths_of, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a device."""
    assert run("--home", str(tmp_path), "init", "--name", "änna 🦦").code == 0
    return tmp_path


def _run(home: Path, *arguments: str) -> Said:
    return run("--home", str(home), *arguments)


def _write(home: Path, raw: bytes) -> None:
    file = paths_of(home).config_file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)


def test_init_says_what_the_id_is(tmp_path: Path) -> None:
    """The id alone is data, what it is stands beside it."""
    said = _run(tmp_path, "init")
    assert len(said.out.strip()) == 32
    assert "Its id:" in said.err


def test_keeping_a_device_says_which_home_when_asked_in_json(home: Path) -> None:
    """A script gets an answer whether or not there was something to do."""
    assert _run(home, "--json", "init", "--keep").json()["home"] == str(paths_of(home).state)


def test_a_home_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    """In a sentence."""
    file = tmp_path / "file"
    file.touch()
    said = _run(file, "init")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "Not a directory" in said.err


def test_what_is_shown_of_the_options_can_be_put_into_the_file(home: Path) -> None:
    """It is TOML, whatever letters are in it."""
    options = tomllib.loads(_run(home, "config", "show").out)
    assert (options["name"], options["mdns"]) == ("änna 🦦", True)
    assert options["ignore"] == ["*~", ".Trash-*", "lost+found"]


def test_the_name_in_the_options_is_said_to_be_the_first_one(home: Path) -> None:
    """A device is renamed elsewhere."""
    (line, *_) = _run(home, "config", "show").out.splitlines()
    assert line.endswith(f"leaderless --home {home} device rename")


def test_a_file_that_is_fine_is_said_so(home: Path) -> None:
    """With exit code 0."""
    said = _run(home, "config", "check")
    assert (said.code, said.err) == (0, "The configuration is fine.\n")


def test_a_home_without_a_file_is_not_called_fine(tmp_path: Path) -> None:
    """Every option has its default then; where there is no device either, that is the remedy."""
    said = _run(tmp_path, "config", "check")
    assert (said.code, "There is no" in said.err, "fine" in said.err) == (0, True, False)
    assert f"leaderless --home {tmp_path} init" in said.err


def test_programs_can_tell_a_missing_file(tmp_path: Path) -> None:
    """From one in which nothing is wrong."""
    said = _run(tmp_path, "config", "check", "--json")
    assert (said.json()["exists"], said.json()["problems"]) == (False, [])


def test_problems_are_said_once_in_json(tmp_path: Path) -> None:
    """Not in words beside it."""
    _write(tmp_path, b"mdns = 7\n")
    said = _run(tmp_path, "config", "check", "--json")
    assert (said.code, len(said.json()["problems"]), said.err) == (6, 1, "")


def test_a_folder_in_place_of_the_file_is_said_in_words(tmp_path: Path) -> None:
    """No number of an error, no codec."""
    paths_of(tmp_path).config_file.mkdir(parents=True)
    said = _run(tmp_path, "config", "check")
    assert (said.code, said.err.endswith("leaderless.toml: Is a directory\n")) == (6, True)


def test_bytes_that_are_no_text_are_said_with_their_place(tmp_path: Path) -> None:
    """So that an editor finds them."""
    _write(tmp_path, b'name = "\xff"\n')
    said = _run(tmp_path, "config", "check")
    assert (said.code, "UTF-8; byte 9 is not" in said.err) == (6, True)


def test_what_may_surprise_is_a_warning_and_no_problem(tmp_path: Path) -> None:
    """Exit 0, and what to do about it; programs get it beside the problems."""
    _write(tmp_path, b"listen_port = 0\nmdns = false\n")
    said = _run(tmp_path, "config", "check")
    assert (said.code, "set a fixed listen_port" in said.err) == (0, True)
    assert "fine" not in said.err
    (warning,) = _run(tmp_path, "config", "check", "--json").json()["warnings"]
    assert "listen_port is 0" in warning["text"]


def test_a_wait_is_not_longer_than_the_longest(tmp_path: Path) -> None:
    """The one that was written is named with its line."""
    _write(tmp_path, b"reconnect_max_s = 5\nreconnect_min_s = 6\n")
    said = _run(tmp_path, "config", "check")
    assert (said.code, ":2: reconnect_min_s is more than" in said.err) == (6, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(tmp_path: Path, shell: str) -> None:
    """It calls this program for the candidates."""
    assert "_LEADERLESS_COMPLETE" in _run(tmp_path, "completion", shell).out
