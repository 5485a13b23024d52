"""note, favorite, rate, hide and meta against a real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device


def said(indexed: Device, file: Path) -> Any:
    """Return what a file shows."""
    return indexed.json("show", str(file))["metadata"]


def test_the_last_word_is_the_note(indexed: Device, folder: Path) -> None:
    """The files stand before it; a copy shows the note, too; --clear takes it away."""
    done = indexed.run("note", str(folder / "a.jpg"), str(folder / "c.jpg"), "at the sea")
    assert done.stdout == b"2\n"
    assert said(indexed, folder / "b.jpg") == {"note": "at the sea"}
    indexed.run("note", str(folder / "a.jpg"), str(folder / "c.jpg"), "--clear")
    assert said(indexed, folder / "c.jpg") == {"note": None}


@pytest.mark.parametrize(
    ("verb", "values", "field"),
    [
        (["note"], ["all", "this"], "note"),
        (["rate"], ["1", "2"], "rating"),
        (["favorite"], ["--off", None], "favorite"),
        (["hide"], ["--off", None], "hidden"),
    ],
)
def test_a_file_inherits_again_what_is_said_of_all_copies(
    indexed: Device, folder: Path, verb: list[str], values: list[str | None], field: str
) -> None:
    """What was said of it alone is as if it had never been."""
    file = str(folder / "a.jpg")
    for value, scope in zip(values, ("content", "entry"), strict=True):
        indexed.run(*verb, file, *([value] if value else []), "--scope", scope)
    alone = said(indexed, folder / "a.jpg").get(field)
    assert alone != said(indexed, folder / "b.jpg").get(field)
    indexed.run(*verb, file, "--inherit")
    assert said(indexed, folder / "a.jpg").get(field) == said(indexed, folder / "b.jpg").get(field)


def test_a_key_is_inherited_by_itself(indexed: Device, folder: Path) -> None:
    """And there is nothing that all copies could inherit from."""
    file = str(folder / "a.jpg")
    indexed.run("meta", "set", file, "camera", "all")
    indexed.run("meta", "set", file, "camera", "this", "--scope", "entry")
    indexed.run("meta", "unset", file, "camera", "--inherit")
    assert said(indexed, folder / "a.jpg")["custom_data"] == {"camera": "all"}
    indexed.run("meta", "unset", file, "camera", "--inherit", "--scope", "content", code=2)


def test_what_changes_nothing_is_no_action(indexed: Device, folder: Path) -> None:
    """Neither taking away what is not there, nor saying what is said already."""
    file = str(folder / "c.jpg")
    indexed.run("note", file, "here")
    for words in (["meta", "unset", file, "nokey"], ["note", file, "here"]):
        done = indexed.run(*words)
        assert (done.stdout, b"takes it back" in done.stderr) == (b"0\n", False)
    assert b"nothing to take away" in indexed.run("meta", "unset", file, "nokey").stderr
    indexed.run("note", file, "--clear")
    assert b"nothing to take away" in indexed.run("note", file, "--clear").stderr


def test_favorites_ratings_and_hidden_files(indexed: Device, folder: Path) -> None:
    """Each can be set and taken away."""
    file = str(folder / "c.jpg")
    for verb in (["favorite", file], ["rate", file, "4"], ["hide", file]):
        indexed.run(*verb)
    shown = said(indexed, folder / "c.jpg")
    assert (shown["favorite"], shown["rating"], shown["hidden"]) == (True, 4, True)
    for verb in (["favorite", file, "--off"], ["rate", file, "--clear"], ["hide", file, "--off"]):
        indexed.run(*verb)
    shown = said(indexed, folder / "c.jpg")
    assert (shown["favorite"], shown["rating"], shown["hidden"]) == (False, None, False)


def test_data_of_ones_own_has_types(indexed: Device, folder: Path) -> None:
    """Text unless it is said to be something else; a key can be unset."""
    file = str(folder / "c.jpg")
    indexed.run("meta", "set", file, "camera", "007")
    indexed.run("meta", "set", file, "iso", "100", "--type", "integer")
    indexed.run("meta", "set", file, "raw", "true", "--type", "boolean")
    assert said(indexed, folder / "c.jpg")["custom_data"] == {
        "camera": "007",
        "iso": 100,
        "raw": True,
    }
    for key in ("camera", "iso", "raw"):
        indexed.run("meta", "unset", file, key)
    assert "custom_data" not in said(indexed, folder / "c.jpg")


def test_a_search_stands_for_files(indexed: Device, folder: Path) -> None:
    """All that it finds is one action; of one copy alone with --scope entry."""
    before = said(indexed, folder / "a.jpg")
    done = indexed.run("rate", "--where", ".jpg", "--scope", "entry", "3")
    assert done.stdout == b"3\n"
    assert said(indexed, folder / "a.jpg")["rating"] == 3
    command = done.stderr.decode().partition("undo ")[2].partition("`")[0]
    indexed.run("undo", command)
    assert said(indexed, folder / "a.jpg") == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["note", "a.jpg"], 2),
        (["note"], 2),
        (["rate", "/x", "6"], 2),
        (["rate", "/x", "many"], 2),
        (["favorite"], 2),
        (["meta", "set", "/x", "k", "v", "--type", "integer"], 2),
        (["meta", "set", "/x", "k", "maybe", "--type", "boolean"], 2),
        (["meta", "unset", "k"], 2),
        (["note", "/no/such/file", "x"], 5),
    ],
)
def test_exit_codes_tell_what_went_wrong(indexed: Device, arguments: list[str], code: int) -> None:
    """Scripts can tell errors apart, and standard output stays clean."""
    done = indexed.run(*arguments, code=None)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr
