"""Remedies that can be followed as they are printed: each names the device that was asked about."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leaderless.cli.app import Context
from tests.cli.asking import Said, answering, failed, http, paths_of, run


def _hint(said: Said) -> str:
    """Return the remedy among what was printed."""
    (line,) = [line for line in said.err.splitlines() if line.startswith("  → ")]
    return line.removeprefix("  → ")


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEADERLESS_HOME", raising=False)


@pytest.mark.parametrize("verb", [["status"], ["serve"], ["service", "install"]])
def test_before_init_the_remedy_makes_this_very_device(tmp_path: Path, verb: list[str]) -> None:
    """Not one in the folders of the user."""
    said = run("--home", str(tmp_path), *verb)
    assert _hint(said) == f"leaderless --home {tmp_path} init"


@pytest.mark.parametrize("verb", ["service install", "serve"])
def test_what_init_names_next_is_about_the_device_it_made(tmp_path: Path, verb: str) -> None:
    """Both ways to run it keep the home."""
    said = run("--home", str(tmp_path), "init")
    assert f"`leaderless --home {tmp_path} {verb}`" in said.err


def test_a_device_that_is_there_is_to_be_served(tmp_path: Path) -> None:
    """The second init of a home names the command that runs it."""
    home = str(tmp_path)
    run("--home", home, "init")
    assert _hint(run("--home", home, "init")) == f"leaderless --home {tmp_path} serve"


def test_the_daemons_remedies_are_about_the_device_that_was_asked(tmp_path: Path) -> None:
    """It does not know by which option it was found."""
    answer = failed(404, "not_found", "there is no tag", "leaderless tag list")
    with answering(tmp_path, answer):
        said = run("--home", str(tmp_path), "tag", "show", "x")
    assert _hint(said) == f"leaderless --home {tmp_path} tag list"


def test_json_has_the_remedy_that_is_printed(tmp_path: Path) -> None:
    """Programs may follow it as well."""
    said = run("--json", "--home", str(tmp_path), "status")
    assert said.json()["error"]["hint"] == f"leaderless --home {tmp_path} init"


def test_a_remedy_in_other_words_stays_as_it_is(tmp_path: Path) -> None:
    """What is to be done on another device has nothing to do with our home."""
    hint = "run `leaderless pair` on the other device"
    with answering(tmp_path, failed(404, "not_found", "nobody", hint)):
        said = run("--home", str(tmp_path), "tag", "show", "x")
    assert _hint(said) == hint


def test_a_home_that_needs_quotes_gets_them() -> None:
    """What is printed can be pasted."""
    assert Context("/a b").command("serve") == "leaderless --home '/a b' serve"


def test_a_home_that_is_not_utf8_can_be_pasted(tmp_path: Path) -> None:
    """In remedies and in what is told beside an answer, as the shell reads it."""
    home = os.fsdecode(bytes(tmp_path) + b"/h\xff")
    said = run("--home", home, "status")
    assert _hint(said) == f"leaderless --home $'{tmp_path}/h\\xff' init"
    assert f"--home $'{tmp_path}/h\\xff' serve`" in run("--home", home, "init").err


def test_the_machines_own_device_is_named_by_its_option() -> None:
    """So that the command asks the same service."""
    assert Context(system=True).hint("leaderless conflicts") == "leaderless --system conflicts"


@pytest.mark.parametrize("between", [", or ", "; "])
def test_each_of_several_commands_is_for_the_device_that_was_asked(between: str) -> None:
    """Whichever is taken."""
    hint = Context("/a").hint(f"leaderless album list{between}leaderless album create NAME")
    assert hint.split(between) == [
        "leaderless --home /a album list",
        "leaderless --home /a album create NAME",
    ]


def test_without_a_home_a_remedy_is_short() -> None:
    """The user's own device needs no option."""
    assert Context().hint("leaderless init") == "leaderless init"


def test_a_home_from_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy may be pasted into another shell."""
    monkeypatch.setenv("LEADERLESS_HOME", "/a")
    assert Context().command("serve") == "leaderless --home /a serve"


def _status(message: str) -> bytes:
    """Return the report of a device with a location that waits for a person."""
    scan = {"location": "fa", "state": "blocked", "message": message, "entries_seen": 0}
    alert = {"code": "LOCATION_BLOCKED", "text": f"fa: {message}", "hint": None}
    return http(
        {
            "verdict": "Alone.",
            "device": "anna",
            "library": "home",
            "rows": "1",
            "tags": "2",
            "peers": [],
            "locations": [scan],
            "warnings": [alert],
        }
    )


def test_a_location_that_asks_first_names_the_command_for_this_device(tmp_path: Path) -> None:
    """Agreeing to deletions on another device would be dear."""
    command = "location scan fa --accept-deletes"
    with answering(tmp_path, _status(f"misses 9; if that is right: leaderless {command}")):
        said = run("--home", str(tmp_path), "status")
    assert f"leaderless --home {tmp_path} {command}" in said.out


def test_a_location_that_is_blocked_is_said_on_one_line(tmp_path: Path) -> None:
    """The warning that repeats it for programs is not printed, nor its code."""
    with answering(tmp_path, _status("it is unplugged")):
        said = run("--home", str(tmp_path), "status")
    assert (said.out.count("it is unplugged"), "LOCATION_" in said.out) == (1, False)


def test_numbers_have_the_word_that_fits(tmp_path: Path) -> None:
    """One row, two tags."""
    with answering(tmp_path, _status("x")):
        assert "home: 1 row, 2 tags\n" in run("--home", str(tmp_path), "status").out


def test_the_paths_are_those_of_the_home_that_was_given(tmp_path: Path) -> None:
    """Not those of the user."""
    assert Context(str(tmp_path)).paths == paths_of(tmp_path)
