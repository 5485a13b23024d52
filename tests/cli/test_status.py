"""wait and peers, as they look to a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.asking import answering, http, run

PARTLY = {"verdict": "In sync with 1 of 2 devices; cy was never seen.", "in_sync": False}
WHOLE = {"verdict": "In sync with ben and cy.", "in_sync": True}


def test_waiting_says_that_those_who_are_away_were_not_waited_for(tmp_path: Path) -> None:
    """The exit code alone would be taken for all."""
    with answering(tmp_path, http(PARTLY)):
        said = run("--home", str(tmp_path), "wait", "--synced")
    assert (said.code, said.out) == (0, f"{PARTLY['verdict']}\n")
    assert "--all waits for every member" in said.err


def test_waiting_for_all_asks_for_all(tmp_path: Path) -> None:
    """The daemon is the one that waits."""
    with answering(tmp_path, http(WHOLE)) as requests:
        said = run("--home", str(tmp_path), "wait", "--synced", "--all")
    assert b"all=1" in requests[0].splitlines()[0]
    assert said.err == ""


def test_waiting_asks_for_those_that_are_connected(tmp_path: Path) -> None:
    """Unless all are meant."""
    with answering(tmp_path, http(WHOLE)) as requests:
        run("--home", str(tmp_path), "wait", "--synced", "--timeout", "7")
    assert requests[0].startswith(b"GET /v1/wait?synced=1&timeout_s=7 ")


@pytest.mark.parametrize("timeout", ["-1", "soon", "99999999999"])
def test_a_time_that_cannot_be_waited_is_a_mistake(tmp_path: Path, timeout: str) -> None:
    """It is said before anybody is asked, in JSON too."""
    arguments = ("wait", "--synced", "--timeout", timeout, "--json")
    said = run("--home", str(tmp_path), *arguments)
    assert (said.code, said.json()["error"]["code"]) == (2, "usage")


def test_a_device_alone_is_told_how_to_find_company(tmp_path: Path) -> None:
    """By the command for this home."""
    with answering(tmp_path, http({"peers": []})):
        said = run("--home", str(tmp_path), "peers")
    assert f"`leaderless --home {tmp_path} pair`" in said.err
