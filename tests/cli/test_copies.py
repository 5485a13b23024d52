"""copies, at-risk and duplicates against a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.device import Device
from tests.cli.asking import answering, http, run


def test_copies_and_risk_in_words_and_in_json(indexed: Device, folder: Path) -> None:
    """Two copies on one device are at risk, and one of them is wasted."""
    done = indexed.run("copies", str(folder / "a.jpg"))
    assert done.stdout.count(b".jpg") == 2
    assert b"At risk: on one device only." in done.stderr
    risky = indexed.run("at-risk", "--location", "photos", "--limit", "2")
    assert risky.stdout.count(b"on one device only") == 2
    assert b"more with --limit" in risky.stderr
    assert indexed.json("at-risk")["totals"]["one_device"]["files"] == 5
    twice = indexed.run("duplicates", "--device", "anna")
    assert twice.stdout.startswith(b"4 B wasted: 2 copies of 4 B on 1 device\n")
    assert indexed.json("duplicates", "--larger", "4")["duplicates"] == []
    assert json.loads(indexed.run("--json", "copies", str(folder / "c.jpg")).stdout)["count"] == 1


def test_copies_on_several_devices_are_not_called_a_waste(tmp_path: Path) -> None:
    """They are what keeps a file."""
    copy = {"device": "anna", "path": "/a", "id": "ab"}
    item = {"files": 2, "devices": 2, "size_bytes": "4", "wasted_bytes": "0", "copies": [copy]}
    totals = {"contents": 1, "files": 2, "wasted_bytes": "0"}
    answer = http({"duplicates": [item], "totals": totals, "more": False})
    with answering(tmp_path, answer):
        told = run("--home", str(tmp_path), "duplicates").out
    assert told.startswith("nothing wasted: 2 copies of 4 B on 2 devices\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["copies", "/no/such/file"], 5),
        (["at-risk", "--location", "nowhere"], 5),
        (["duplicates", "--larger", "much"], 2),
        (["duplicates", "--limit", "0"], 2),
    ],
)
def test_exit_codes_tell_what_went_wrong(indexed: Device, arguments: list[str], code: int) -> None:
    """Scripts can tell errors apart, and standard output stays clean."""
    done = indexed.run(*arguments, code=None)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr
