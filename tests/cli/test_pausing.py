"""location pause and resume: what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.asking import Said, answering, http, run

Ask = Callable[..., Said]


def _folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a").touch()
    return folder


def _paused(name: str = "docs", *, paused: bool = True, **about: object) -> dict[str, object]:
    """Return a location as it is told of by who pauses."""
    left = {"unhashed_files": "2", "unhashed_bytes": "3072"} if paused else {}
    return {
        "name": name,
        "index_mode": "content",
        "paused": paused,
        "changed": True,
        **left,
        **about,
    }


@pytest.mark.parametrize(
    ("verb", "locations", "told"),
    [
        (
            "pause",
            [_paused()],
            "Hashing is paused in docs, 2 files are left to hash (3.0 KiB).\n`{} resume` goes on.\n",
        ),
        (
            "pause",
            [_paused(changed=False, unhashed_files="0")],
            "Hashing is paused in docs already, no file is left to hash.\n`{} resume` goes on.\n",
        ),
        (
            "pause",
            [_paused(paused=False, changed=False, index_mode="shallow")],
            "Nothing to pause in docs: no file is hashed (mode shallow).\n",
        ),
        (
            "pause",
            [_paused("a", unhashed_files=None), _paused("b", paused=False, changed=False)],
            "Hashing is paused in a.\n`{} resume` goes on.\n",
        ),
        (
            "pause",
            [],
            "Nothing to pause: this device has no location. `{} add FOLDER` indexes a folder.\n",
        ),
        ("resume", [_paused(paused=False)], "Hashing goes on in docs.\n"),
        (
            "resume",
            [_paused(paused=False, changed=False)] * 2,
            "Nothing to resume: no location is paused.\n",
        ),
    ],
)
def test_a_pause_says_what_came_of_it(
    tmp_path: Path, verb: str, locations: list[object], told: str
) -> None:
    """What is so already, or has nothing to hash, is no failure."""
    with answering(tmp_path, http({"locations": locations})) as requests:
        said = run("--home", str(tmp_path), "location", verb)
    expected = told.replace("{}", f"leaderless --home {tmp_path} location")
    assert (said.code, said.out, said.err) == (0, "", expected)
    assert requests[0].endswith(b"{}")


def test_one_location_that_is_not_paused_is_named(tmp_path: Path) -> None:
    """It was named by whoever wanted it to go on."""
    with answering(tmp_path, http({"locations": [_paused(paused=False, changed=False)]})):
        said = run("--home", str(tmp_path), "location", "resume", "docs")
    assert (said.code, said.err) == (0, "Nothing to resume: docs is not paused.\n")


def test_what_is_paused_is_not_waited_for(ask: Ask, tmp_path: Path) -> None:
    """It is said instead, in JSON too, with how much is left and what goes on with it."""
    folder = _folder(tmp_path, "quiet; here")
    ask("location", "add", str(folder), "--wait")
    ask("location", "mode", "quiet; here", "content", "--wait")
    said = ask("location", "pause", "quiet; here")
    assert "Hashing is paused in quiet; here, no" in said.err
    assert "location resume 'quiet; here'` goes on" in said.err
    (folder / "b").write_bytes(b"12")
    said = ask("location", "scan", "quiet; here", "--wait")
    assert "paused, 1 file is left to hash (2 B). `leaderless" in said.err
    assert "location resume 'quiet; here'` goes on" in said.err
    left = {"paused": True, "unhashed_files": "1", "unhashed_bytes": "2"}
    waited = ask("--json", "location", "scan", "quiet; here", "--wait")
    assert waited.json().items() >= left.items()
    assert ask("location", "resume", "quiet; here").err == "Hashing goes on in quiet; here.\n"
    assert "paused" not in ask("--json", "location", "scan", "quiet; here", "--wait").json()


def test_what_is_paused_is_shown_with_what_goes_on(ask: Ask, tmp_path: Path) -> None:
    """By the status and the list; not once it goes on."""
    folder = _folder(tmp_path, "shown")
    ask("location", "add", str(folder), "--mode", "content", "--wait")
    ask("location", "pause", "shown")
    status, listed = ask("status").out, ask("location", "list").out
    assert "Hashing is paused in shown." in status.splitlines()[0]
    assert "  shown: idle; hashing is paused, no file is left to hash\n    → leaderless" in status
    (row, more) = [line for line in listed.splitlines() if "shown" in line]
    assert row.endswith("idle, hashing paused")
    assert more.endswith("location resume shown")
    ask("location", "resume", "shown")
    assert "is paused" not in ask("status").out + ask("location", "list").out
