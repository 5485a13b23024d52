"""location, asked of a real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.asking import Said, answering, failed, http, run

Ask = Callable[..., Said]


def _folder(tmp_path: Path, name: str, *files: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for file in files:
        (folder / file).touch()
    return folder


ASKED = http({"id": "ab", "pass": 2})


def _item(state: str, message: str | None = None, *, passes: int = 2) -> bytes:
    about = {"scan_state": state, "passes": passes, "error_message": message}
    return http({"locations": [{"id": "ab", **about}]})


def test_a_folder_is_indexed_when_it_is_added(ask: Ask, tmp_path: Path) -> None:
    """With --wait, its files are found as soon as the command returns; its id is the data."""
    folder = _folder(tmp_path, "added-here", "added-file")
    said = ask("location", "add", str(folder), "--wait")
    assert (said.code, len(said.out.strip())) == (0, 32)
    assert str(folder / "added-file") in ask("find", "added-file").out


def test_who_adds_a_folder_is_told_what_to_do_next(ask: Ask, tmp_path: Path) -> None:
    """To look how far it is, or to find in it; JSON is not talked into."""
    said = ask("location", "add", str(_folder(tmp_path, "told-one"))).err
    assert said.startswith("Indexing; `leaderless")
    waited = ask("location", "add", str(_folder(tmp_path, "told-two")), "--wait").err
    assert "Indexed; `leaderless" in waited
    assert "Index" not in ask("location", "add", str(_folder(tmp_path, "told-three")), "--json").err


def test_a_scan_that_is_waited_for_has_seen_what_changed(ask: Ask, tmp_path: Path) -> None:
    """The command returns after the scan that it asked for, not before it began."""
    folder = _folder(tmp_path, "rescanned")
    ask("location", "add", str(folder), "--wait")
    for number in range(5):
        (folder / f"new{number}-in-rescanned").touch()
        ask("location", "scan", "rescanned", "--wait")
        assert ask("find", f"new{number}-in-rescanned").code == 0


def test_a_location_is_named_by_its_path_from_here(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was when it was added; a name that begins with a dot stays a name."""
    ask("location", "add", str(_folder(tmp_path, "near")), "--wait")
    ask("location", "add", str(_folder(tmp_path, ".dotted")), "--wait")
    monkeypatch.chdir(tmp_path)
    assert ask("location", "scan", "./near", "--wait").code == 0
    assert ask("location", "scan", ".dotted", "--wait").code == 0


def test_a_location_whose_path_is_not_utf8_is_named_by_it(ask: Ask, tmp_path: Path) -> None:
    """The bytes that were typed are those of the folder."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    assert ask("location", "add", os.fsdecode(folder), "--wait").code == 0
    assert ask("location", "remove", os.fsdecode(folder)).code == 0


def test_a_folder_that_is_not_utf8_and_not_there_is_not_found(ask: Ask) -> None:
    """The error quotes it, and the daemon goes on."""
    said = ask("location", "add", "/no/caf\udce9")
    assert (said.code, "caf\\xe9" in said.err, ask("status").code) == (5, True, 0)


def test_a_removed_location_leaves_its_files_alone(ask: Ask, tmp_path: Path) -> None:
    """It is gone from the catalogue only."""
    folder = _folder(tmp_path, "removed-here", "file")
    ask("location", "add", str(folder), "--wait")
    assert ask("location", "remove", "removed-here").code == 0
    assert "removed-here" not in ask("location", "list").out
    assert (folder / "file").exists()


def test_the_list_says_where_and_how_large(ask: Ask, tmp_path: Path) -> None:
    """A line has the name, path and number of files."""
    folder = _folder(tmp_path, "listed-here", "a", "b")
    ask("location", "add", str(folder), "--wait")
    (row,) = [row for row in ask("location", "list").out.splitlines() if "listed-here" in row]
    assert (str(folder) in row, " 2 " in row, row.endswith("idle")) == (True, True, True)


@pytest.mark.parametrize(
    "verb",
    [
        ["scan", "nowhere"],
        ["remove", "nowhere"],
        ["scan", "/nowhere"],
        ["pause", "nowhere"],
        ["resume", "nowhere"],
    ],
)
def test_a_location_that_is_not_there_is_not_found(ask: Ask, verb: list[str]) -> None:
    """Exit 5, and standard output stays clean."""
    said = ask("location", *verb)
    assert (said.code, said.out) == (5, "")


@pytest.mark.parametrize("verb", ["add", "scan", "pause", "resume", "remove"])
def test_every_verb_answers_in_json(ask: Ask, tmp_path: Path, verb: str) -> None:
    """One object with a schema; with --wait it comes after the scan."""
    folder = str(_folder(tmp_path, f"json-{verb}"))
    if verb != "add":
        ask("location", "add", folder, "--wait")
    said = ask("--json", "location", verb, folder, *(["--wait"] if verb in ("add", "scan") else []))
    assert (said.code, said.json()["schema"]) == (0, 1)


def test_a_scan_that_stops_to_ask_is_a_failure(tmp_path: Path) -> None:
    """Exit 1, with the reason; in JSON, too."""
    message = "1,200 of 1,300 entries are gone"
    before = (_item("idle", passes=1), _item("scanning", passes=1))
    answers = (ASKED, *before, _item("blocked", message))
    with answering(tmp_path, *answers):
        said = run("--home", str(tmp_path), "--json", "location", "scan", "docs", "--wait")
    assert (said.code, said.json()["schema"]) == (1, 1)
    assert message in said.json()["error"]["message"]


def test_what_a_scan_before_had_found_is_not_the_answer(tmp_path: Path) -> None:
    """The wait ends with the pass that was asked for, whatever state an earlier one has left."""
    before = _item("blocked", "3,001 entries are gone", passes=1)
    with answering(tmp_path, ASKED, before, before, _item("idle")):
        said = run("--home", str(tmp_path), "location", "scan", "docs", "--wait")
    assert said.code == 0


def test_a_scan_that_changes_nothing_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    """A drive that was away and still is: the wait ends, and says so."""
    away = "its folder is not there"
    with answering(tmp_path, ASKED, _item("offline", away, passes=1), _item("offline", away)):
        said = run("--home", str(tmp_path), "location", "scan", "docs", "--wait")
    assert (said.code, "its folder is not there" in said.err) == (1, True)


def test_a_location_that_is_removed_meanwhile_ends_the_wait(tmp_path: Path) -> None:
    """There is nothing left to wait for."""
    with answering(tmp_path, ASKED, _item("scanning", passes=1), http({"locations": []})):
        said = run("--home", str(tmp_path), "location", "add", "/docs", "--wait")
    assert said.code == 5


def test_a_clone_is_not_waited_for_in_vain(tmp_path: Path) -> None:
    """Its scan has ended and wrote nothing: why, and what a person can do. A restored one goes on."""
    alert = {"code": "CLONED", "text": "another machine runs", "hint": "leaderless device claim"}
    held, waits = http({"warnings": [alert]}), http({"warnings": [{"code": "RESTORING"}]})
    with answering(tmp_path, ASKED, _item("scanning"), waits, _item("scanning"), held):
        said = run("--home", str(tmp_path), "location", "scan", "x", "--wait")
    assert (said.code, "another machine runs" in said.err) == (1, True)
    assert f"leaderless --home {tmp_path} device claim" in said.err


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_progress_is_for_people(tmp_path: Path, terminal: bool, shown: bool) -> None:
    """It is on standard error, and only where that is a terminal."""
    with answering(tmp_path, ASKED, _item("scanning", passes=1), _item("idle")):
        said = run("--home", str(tmp_path), "location", "add", "/d", "--wait", terminal=terminal)
    assert ("entries seen" in said.err, said.out) == (shown, "ab\n")


def test_paths_that_could_not_be_read_steer_no_terminal(tmp_path: Path) -> None:
    """They are listed below the locations, spelled out."""
    item: dict[str, Any] = dict.fromkeys(
        ("name", "device", "drive", "path", "index_mode", "total_file_count", "total_byte_size"),
        "x",
    )
    item |= {"total_byte_size": "1", "scan_state": "idle", "error_message": "1 path\x1b[31m"}
    item |= {"errors": [{"path": "/a\x1b[31m", "why": "Permission denied"}], "this_device": True}
    with answering(tmp_path, http({"locations": [item]})):
        said = run("--home", str(tmp_path), "location", "list")
    assert ("\x1b" in said.out, "/a\\x1b[31m: Permission denied" in said.out) == (False, True)


def test_what_the_daemon_refuses_is_not_waited_for(tmp_path: Path) -> None:
    """The error comes at once."""
    with answering(tmp_path, failed(400, "usage", "/d is no folder")):
        assert run("--home", str(tmp_path), "location", "add", "/d", "--wait").code == 2


def test_a_location_is_hashed_once_it_is_told_to(ask: Ask, tmp_path: Path) -> None:
    """Adding it anew with another mode names the command; the list shows the mode."""
    folder = _folder(tmp_path, "moded", "some-file")
    ask("location", "add", str(folder), "--wait")
    refused = ask("location", "add", str(folder), "--mode", "content")
    assert (refused.code, "location mode moded content" in refused.err) == (2, True)
    assert ask("location", "mode", "moded", "content", "--wait").err == (
        "Indexed as content from now on.\n"
    )
    assert ask("--json", "show", str(folder / "some-file")).json()["file"]["hash"]


def test_a_mode_that_does_no_more_than_another_says_so(ask: Ask, tmp_path: Path) -> None:
    """Of deep locations the files are hashed; their types are not looked at yet."""
    folder = _folder(tmp_path, "deeper", "some-file")
    said = ask("location", "add", str(folder), "--mode", "deep", "--wait").err
    assert "as with content" in said
    assert ask("location", "mode", "deeper", "deep").err.splitlines()[1] in said
    assert "as with content" not in ask("location", "mode", "deeper", "content").err


def test_a_location_goes_unasked_where_nothing_would_be_lost(ask: Ask, tmp_path: Path) -> None:
    """What is said of nothing in it goes on elsewhere."""
    ask("location", "add", str(_folder(tmp_path, "bare", "some-file")), "--wait")
    said = ask("location", "remove", "bare")
    assert (said.code, said.err.count("\n")) == (0, 1)


def test_what_would_be_gone_with_a_location_is_asked_about(ask: Ask, tmp_path: Path) -> None:
    """Nothing is removed without a yes; then it says what went."""
    folder = _folder(tmp_path, "noted it", "some-file")
    ask("location", "add", str(folder), "--wait")
    ask("note", str(folder / "some-file"), "print this")
    refused = ask("location", "remove", "noted it")
    assert (refused.code, "what was said of 1 file alone goes with it: 1 note" in refused.err) == (
        2,
        True,
    )
    assert "location remove 'noted it' --yes" in refused.err
    assert "noted it" in ask("location", "list").out
    done = ask("location", "remove", "noted it", "--yes")
    assert (done.code, "What was said of 1 file alone went with it: 1 note." in done.err) == (
        0,
        True,
    )


def test_what_would_be_out_of_sight_is_asked_about(ask: Ask, tmp_path: Path) -> None:
    """What is said of a content that is nowhere else shows again, so it is told apart."""
    folder = _folder(tmp_path, "seen", "some-file")
    (folder / "some-file").write_text("only here")
    ask("location", "add", str(folder), "--mode", "content", "--wait")
    ask("rate", str(folder / "some-file"), "5")
    refused = ask("--json", "location", "remove", "seen")
    assert (refused.code, "1 rating or mark" in refused.json()["error"]["message"]) == (2, True)
    done = ask("--json", "location", "remove", "seen", "--yes").json()
    assert (done["gone"]["files"], done["unseen"]["marks"], done["own"]) == (0, 1, "0")
