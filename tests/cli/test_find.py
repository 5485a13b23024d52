"""find, asked of a real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device
from tests.cli.asking import Said, answering, http, run

Ask = Callable[..., Said]
FOUND = {
    "device": "anna",
    "drive": "/",
    "reachable": True,
    "kind": "file",
    "size_bytes": "1",
    "path": "/x",
}


@pytest.fixture(scope="module", autouse=True)
def shelf(daemon: Device, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Index a folder with files of many names and sizes."""
    folder = tmp_path_factory.mktemp("found-shelf")
    for name in (b"Report 100%.PDF", "Übung.txt".encode(), b"caf\xe9.bin", b"red\x1b[31m.txt"):
        (folder / os.fsdecode(name)).touch()
    (folder / "large.bin").write_bytes(bytes(3000))
    os.utime(folder / "large.bin", (0, 0))
    (folder / "subfolder").mkdir()
    daemon.run("location", "add", str(folder), "--name", "shelf", "--wait")
    yield folder
    daemon.run("location", "remove", "shelf", "--yes")


def _paths(said: Said) -> list[object]:
    return [entry["path"] for entry in said.json()["entries"]]


def test_a_found_file_is_a_row_that_says_where(ask: Ask, shelf: Path, daemon: Device) -> None:
    """Device, drive, whether it can be reached now, size and path."""
    heading, row = ask("find", "large.bin").out.splitlines()
    assert heading.split() == ["DEVICE", "DRIVE", "NOW", "SIZE", "PATH"]
    assert row.split()[-4:] == ["reachable", "2.9", "KiB", str(shelf / "large.bin")]


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        (["REPORT"], "Report 100%.PDF"),
        (["100%"], "Report 100%.PDF"),
        (["übung"], "Übung.txt"),
        (["--ext", "pdf"], "Report 100%.PDF"),
        (["--kind", "directory", "--device", "anna", "subfolder"], "subfolder"),
        (["--larger", "2k", "--ext", "bin"], "large.bin"),
        (["--location", "shelf", "--ext", "pdf"], "Report 100%.PDF"),
    ],
)
def test_each_filter_finds_what_it_means(
    ask: Ask, shelf: Path, filters: list[str], name: str
) -> None:
    """One file fits."""
    assert _paths(ask("--json", "find", *filters)) == [str(shelf / name)]


def test_a_tag_finds_what_carries_it_or_one_below(ask: Ask, shelf: Path) -> None:
    """Whatever else the tags are called."""
    for name in ("find-upper", "find-lower"):
        ask("tag", "create", name)
    ask("tag", "parent", "find-lower", "find-upper")
    ask("tag", "add", "find-lower", str(shelf / "large.bin"))
    assert _paths(ask("--json", "find", "--tag", "find-upper")) == [str(shelf / "large.bin")]


def test_newer_leaves_out_what_is_old(ask: Ask) -> None:
    """A file of 1970 did not change within a day."""
    assert ask("find", "large.bin", "--newer", "1d").code == 5


def test_a_name_that_is_not_utf8_is_found_by_its_bytes(ask: Ask) -> None:
    """Typed as the shell completes it; JSON has its bytes."""
    ((path,),) = (_paths(ask("--json", "find", "caf\udce9")),)
    assert isinstance(path, dict)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_names_of_files_steer_no_terminal(ask: Ask, form: list[str]) -> None:
    """An escape in a name is spelled out."""
    said = ask(*form, "find", "red", terminal=True)
    assert (said.code, "\x1b" in said.out) == (0, False)


def test_a_list_that_is_cut_is_said_to_be(ask: Ask) -> None:
    """On standard error, and for programs in the answer."""
    said = ask("find", "--limit", "1")
    assert (len(said.out.splitlines()), "--limit" in said.err) == (2, True)
    assert ask("--json", "find", "--limit", "1").json()["is_cut"] is True


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nothing_found_is_exit_5(ask: Ask, form: list[str]) -> None:
    """Standard output has no row; for programs an empty list with a schema."""
    said = ask(*form, "find", "no-such-name-anywhere")
    assert said.code == 5
    assert said.json()["entries"] == [] if form else said.out == ""


@pytest.mark.parametrize(
    "filters",
    [
        ["--kind", "folder"],
        ["--limit", "0"],
        ["--limit", "-1"],
        ["--limit", "10001"],
        ["--larger", "much"],
        ["--larger", "9999999999T"],
        ["--newer", "sometime"],
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Ask, filters: list[str]) -> None:
    """Exit 2, not an empty list; with --json it is an object."""
    said = ask("--json", "find", *filters)
    assert (said.code, said.json()["schema"], said.json()["error"]["code"]) == (2, 1, "usage")


@pytest.mark.parametrize(
    "filters", [["--device", "nobody"], ["--tag", "nothing-tagged"], ["--location", "nowhere"]]
)
def test_what_a_filter_names_and_is_not_there_is_not_found(ask: Ask, filters: list[str]) -> None:
    """The error names it."""
    said = ask("find", *filters)
    assert (said.code, filters[1] in said.err) == (5, True)


@pytest.mark.parametrize(("text", "ext"), [("*.pdf", "pdf"), ("Report?", "EXT")])
def test_wildcards_that_find_nothing_are_explained(ask: Ask, text: str, ext: str) -> None:
    """With the filter that was meant."""
    assert f"find --ext {ext}" in ask("find", text).err
    assert "--ext" not in ask("find", "nothing-of-that-name").err


@pytest.mark.parametrize(
    ("entries", "code", "begins"), [([], 75, "Nothing found"), ([FOUND], 0, "That is all")]
)
def test_what_a_restored_device_does_not_find_may_still_come(
    tmp_path: Path, entries: list[dict[str, Any]], code: int, begins: str
) -> None:
    """It says why, what it waits for and the way out, and that it may be tried again."""
    held_up = {
        "message": "it waits for ben",
        "hint": "leaderless status says; leaderless device claim",
    }
    answer = http({"entries": entries, "is_cut": False, "held_up": held_up})
    with answering(tmp_path, answer):
        said = run("--home", str(tmp_path), "find", "x")
    assert said.code == code
    assert said.err.startswith(f"{begins}, as far as is known now: it waits for ben.\n")
    assert f"→ leaderless --home {tmp_path} status says" in said.err
    assert f"leaderless --home {tmp_path} device claim" in said.err
