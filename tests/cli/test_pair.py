"""pair, as far as one device goes; two pair in the tests of real daemons."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.asking import Said, answering, failed, http, run

Ask = Callable[..., Said]
SHOWN = {"code": "4-maple-otter-lemon", "seconds_left": 300, "tries_left": 3, "port": 4711}
AFTER = {"code": None, "port": SHOWN["port"]}
NONE = failed(404, "not_found", "no code is open")


def _shown(tmp_path: Path, *states: dict[str, object], terminal: bool = False) -> Said:
    with answering(tmp_path, NONE, http(SHOWN), *[http(AFTER | state) for state in states]):
        return run("--home", str(tmp_path), "pair", terminal=terminal)


def test_the_code_is_the_data(ask: Ask) -> None:
    """A digit and three words; how to type it is beside it."""
    said = ask("pair", "--no-wait")
    assert (said.code, re.fullmatch(r"\d(-[a-z]+){3}\n", said.out) is not None) == (0, True)
    assert (said.out.strip() in said.err, "--address" in said.err) == (True, True)


def test_the_code_is_shown_to_programs(ask: Ask) -> None:
    """With the port and the time that is left."""
    said = ask("--json", "pair", "--no-wait").json()
    assert (said["schema"], said["port"] > 0, int(said["seconds_left"]) > 0) == (1, True, True)


def test_a_new_code_ends_the_one_before(ask: Ask) -> None:
    """Whoever still holds the old one is told."""
    ask("pair", "--no-wait")
    assert "void" in ask("pair", "--no-wait").err


def test_who_shows_a_code_hears_who_came(tmp_path: Path) -> None:
    """The name is spelled out; the command ends well."""
    said = _shown(tmp_path, {"state": "waiting", **SHOWN}, {"state": "paired", "device": "b\x1b"})
    assert (said.code, "Paired with b\\x1b." in said.err) == (0, True)


@pytest.mark.parametrize(("state", "code"), [("expired", 75), ("void", 4), ("withdrawn", 1)])
def test_a_code_that_nobody_used_is_no_success(tmp_path: Path, state: str, code: int) -> None:
    """Its time is over, three were wrong, or it was withdrawn: scripts can tell."""
    assert _shown(tmp_path, {"state": state}).code == code


@pytest.mark.parametrize(
    "later", [{**SHOWN, "code": "5-other-other-other"}, {"state": "paired", "port": 4712}]
)
def test_who_holds_a_code_that_another_replaced_is_told_at_once(
    tmp_path: Path, later: dict[str, object]
) -> None:
    """What becomes of a later code is not taken for what became of this one."""
    said = _shown(tmp_path, {"state": "waiting", **later} | later)
    assert (said.code, "another code was shown" in said.err) == (1, True)


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_the_time_that_is_left_is_for_people(tmp_path: Path, terminal: bool, shown: bool) -> None:
    """It counts on standard error, where that is a terminal."""
    waiting: dict[str, object] = {"state": "waiting", "seconds_left": 7}
    paired: dict[str, object] = {"state": "paired", "device": "ben"}
    said = _shown(tmp_path, waiting, paired, terminal=terminal)
    assert ("7 s left" in said.err, said.out) == (shown, "4-maple-otter-lemon\n")


def test_who_types_a_code_hears_which_library_it_joined(tmp_path: Path) -> None:
    """Its name is spelled out, and what comes along is counted."""
    with answering(tmp_path, http({"library": "home\x1b", "records_brought": 1})):
        said = run("--home", str(tmp_path), "pair", "4-maple-otter-lemon")
    assert (said.code, said.out) == (0, "Joined library home\\x1b.\n")
    assert "1 record came along: " in said.err
    assert "files of other devices" not in said.err


def test_what_came_along_about_the_files_of_others_is_counted(tmp_path: Path) -> None:
    """It shows nowhere until such a file is there: nobody has to wonder where it is."""
    answer = {"library": "home", "records_brought": 3, "records_unseen": 2}
    with answering(tmp_path, http(answer)):
        said = run("--home", str(tmp_path), "pair", "4-maple-otter-lemon")
    assert "3 records came along: " in said.err
    assert "2 of these about files of other devices, which do not come along" in said.err


def test_a_join_answers_in_json(tmp_path: Path) -> None:
    """One object with a schema."""
    with answering(tmp_path, http({"device_id": "ab", "library": "home"})):
        said = run("--home", str(tmp_path), "--json", "pair", "4-maple-otter-lemon")
    assert said.json() == {"schema": 1, "device_id": "ab", "library": "home"}


def test_where_the_other_is_goes_along(tmp_path: Path) -> None:
    """The daemon is told the address that was given."""
    with answering(tmp_path, http({"library": "home"})) as requests:
        where = ("--address", "192.0.2.1:4711")
        run("--home", str(tmp_path), "pair", "4-maple-otter-lemon", *where)
    assert b'"address": "192.0.2.1:4711"' in requests[0]


def test_that_edits_may_be_left_behind_goes_along(tmp_path: Path) -> None:
    """Only if it is said."""
    for given, sent in (((), b"false"), (("--leave-edits",), b"true")):
        home = tmp_path / str(len(given))
        with answering(home, http({"library": "home"})) as requests:
            run("--home", str(home), "pair", "4-maple-otter-lemon", *given)
        assert b'"leave_edits": ' + sent in requests[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--leave-edits"],
        ["4-not-a-code"],
        ["nonsense"],
        ["4-maple-otter-lemon", "--address", "nowhere"],
        ["4-maple-otter-lemon", "--address", "::1"],
        ["--address", "192.0.2.1:4711"],
    ],
)
def test_a_slip_is_refused_before_anybody_is_looked_for(ask: Ask, arguments: list[str]) -> None:
    """Exit 2, without a word of looking."""
    said = ask("pair", *arguments)
    assert (said.code, "Looking" in said.err) == (2, False)
