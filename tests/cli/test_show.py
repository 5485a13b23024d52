"""show against a real daemon."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.device import Device


def test_show_tells_everything_in_words(indexed: Device, folder: Path) -> None:
    """Copies, tags with what is above them, albums, what was said, and who changed it."""
    file = str(folder / "b.jpg")
    for verb in (
        ["tag", "create", "city"],
        ["tag", "create", "land"],
        ["tag", "parent", "city", "land"],
        ["tag", "add", "city", file, "--context", "travel"],
        ["album", "create", "best"],
        ["album", "add", "best", file],
        ["note", file, "a note"],
        ["meta", "set", file, "lens", "35"],
    ):
        indexed.run(*verb)
    shown = indexed.run("show", file).stdout.decode()
    for line in ("tags [travel]: city (in land)", "album: best", "note: a note", "lens = 35"):
        assert line in shown.splitlines()
    assert str(folder / "a.jpg") in shown
    assert "custom_data.lens" in shown
    (source,) = (line for line in shown.splitlines() if "  source  " in line)
    assert source.startswith("user_metadata_tag city  ")


def test_names_of_others_are_harmless_on_a_terminal(indexed: Device, folder: Path) -> None:
    """Escapes are spelled out, and a name that is no text is found by its bytes."""
    for verb in ("show", "copies"):
        done = indexed.run(verb, str(folder / "red\x1b[31m"))
        assert b"\x1b" not in done.stdout + done.stderr
        assert b"caf\\xe9" in indexed.run(verb, str(folder / os.fsdecode(b"caf\xe9"))).stdout
    indexed.run("note", str(folder / os.fsdecode(b"caf\xe9")), "line\n\x1b[31m")
    assert b"\x1b" not in indexed.run("show", str(folder / os.fsdecode(b"caf\xe9"))).stdout


def test_a_file_that_is_not_in_the_catalogue_cannot_be_shown(indexed: Device) -> None:
    """It is not found, and standard output stays clean."""
    done = indexed.run("show", "/no/such/file", code=None)
    assert (done.returncode, done.stdout) == (5, b"")


def test_what_is_printed_can_be_pasted(indexed: Device, folder: Path) -> None:
    """A path with escapes, from a list, names the file in every verb that takes one."""
    (row,) = (
        line for line in indexed.run("find", "caf").stdout.decode().splitlines() if "caf" in line
    )
    shown = row[row.index(str(folder)) :]
    assert shown.endswith(r"caf\xe9")
    indexed.run("tag", "create", "pasted")
    indexed.run("tag", "add", "pasted", shown)
    assert b"tags: pasted" in indexed.run("show", shown).stdout
    assert shown.encode() in indexed.run("copies", f"anna:{shown}").stdout


def test_values_are_shown_as_they_are_given(indexed: Device, folder: Path) -> None:
    """What is empty says so, and what is true is true."""
    file = str(folder / "c.jpg")
    indexed.run("favorite", file)
    indexed.run("meta", "set", file, "sold", "true", "--type", "boolean")
    indexed.run("rate", file, "3")
    indexed.run("rate", file, "--clear")
    shown = indexed.run("show", file).stdout.decode().splitlines()
    assert {"favorite: true", "sold = true"} <= set(shown)
    (rating,) = (line for line in shown if "  rating  " in line)
    assert "(empty)" in rating
