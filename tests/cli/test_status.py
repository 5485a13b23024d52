"""wait and peers, as they look to a person."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.asking import answering, answering_at_once, http, run

EMPTY: dict[str, Any] = {"peers": [], "warnings": [], "locations": []}
PARTLY = {
    **EMPTY,
    "verdict": "In sync with 1 of 2 devices; cy was never seen.",
    "in_sync": False,
}
WHOLE = {**EMPTY, "verdict": "In sync with ben and cy.", "in_sync": True}
BEN = {"name": "ben", "connected": True, "proved": True, "why_not": None}
BUSY = {**BEN, "proved": False, "why_not": "7 changes are still to come from it"}
CY = {"name": "cy", "connected": False, "proved": False, "why_not": "not connected"}


def test_waiting_says_that_those_who_are_away_were_not_waited_for(tmp_path: Path) -> None:
    """The exit code alone would be taken for all."""
    with answering(tmp_path, http({"peers": [BEN, CY]}), http(PARTLY)):
        said = run("--home", str(tmp_path), "wait", "--synced")
    assert (said.code, said.out) == (0, f"{PARTLY['verdict']}\n")
    assert "--all waits for every member" in said.err


def test_waiting_for_all_asks_for_all(tmp_path: Path) -> None:
    """The daemon is the one that waits."""
    with answering(tmp_path, http({"peers": [BEN]}), http(WHOLE)) as requests:
        said = run("--home", str(tmp_path), "wait", "--synced", "--all")
    assert b"all=1" in requests[1].splitlines()[0]
    assert said.err == ""  # all are in sync: nothing is waited for


def test_waiting_asks_for_those_that_are_connected(tmp_path: Path) -> None:
    """Unless all are meant."""
    with answering(tmp_path, http({"peers": [BEN]}), http(WHOLE)) as requests:
        run("--home", str(tmp_path), "wait", "--synced", "--timeout", "7")
    assert requests[1].startswith(b"GET /v1/wait?synced=1&timeout_s=7 ")


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


@pytest.mark.parametrize(
    ("peers", "options", "words"),
    [
        ([], [], "No other device is a member yet"),
        ([CY], [], "Waiting for cy: not connected."),
        (
            [CY, {**CY, "name": "dan"}],
            [],
            "Nobody is connected now: this waits for the first of cy, dan.",
        ),
        ([BEN, CY], ["--all"], "Waiting for cy: not connected."),
        ([BUSY, CY], [], "Waiting for ben: 7 changes are still to come from it."),
        ([BUSY, CY], ["--all"], "from it; cy: not connected."),
    ],
)
def test_what_is_waited_for_is_said_at_once(
    tmp_path: Path, peers: list[Any], options: list[str], words: str
) -> None:
    """Nobody waits for an hour without knowing for what."""
    with answering(tmp_path, http({"peers": peers}), http(WHOLE)):
        said = run("--home", str(tmp_path), "wait", "--synced", *options)
    assert words in said.err


def test_on_a_terminal_it_is_shown_how_far_that_is(tmp_path: Path) -> None:
    """As the verdict says meanwhile: what is waited for may change."""
    shown = threading.Event()

    def answer(request: bytes) -> bytes:
        if b" /v1/wait" in request:
            shown.wait()
            return http(WHOLE)
        if b" /v1/status" in request:
            shown.set()
            return http({**PARTLY, "verdict": "ben: 3 changes"})
        return http({"peers": [BUSY]})

    with answering_at_once(tmp_path, answer):
        said = run("--home", str(tmp_path), "wait", "--synced", terminal=True)
    assert (said.out, "\rben: 3 changes" in said.err) == (f"{WHOLE['verdict']}\n", True)


def test_remedies_in_json_are_for_the_device_that_was_asked(tmp_path: Path) -> None:
    """As those that are printed: of warnings, of locations, of the verdict."""
    alert = {"code": "CONFLICTS", "text": "x", "hint": "leaderless conflicts"}
    scan = {"message": "missing: leaderless location scan a"}
    report = {**WHOLE, "warnings": [alert, {**alert, "hint": None}], "locations": [scan]}
    with answering(tmp_path, http(report)):
        shown = run("--home", str(tmp_path), "status", "--json").json()
    home = f"leaderless --home {tmp_path}"
    assert [item["hint"] for item in shown["warnings"]] == [f"{home} conflicts", None]
    assert shown["locations"][0]["message"] == f"missing: {home} location scan a"


def test_a_new_device_is_told_what_comes_next(tmp_path: Path) -> None:
    """Somebody to meet and something to index; on standard error, as it is no answer."""
    report = {**WHOLE, "rows": "1", "tags": "0", "device": "anna", "library": "home"}
    with answering(tmp_path, http(report)):
        said = run("--home", str(tmp_path), "status")
    assert f"`leaderless --home {tmp_path} pair` admits" in said.err
    assert f"`leaderless --home {tmp_path} location add FOLDER` indexes" in said.err


def test_what_was_seen_is_acknowledged(tmp_path: Path) -> None:
    """The daemon is told, and the report comes as ever."""
    report = {**WHOLE, "rows": "1", "tags": "0", "device": "anna", "library": "home"}
    with answering(tmp_path, http(report)) as requests:
        said = run("--home", str(tmp_path), "status", "--acknowledge")
    assert requests[0].startswith(b"POST /v1/acknowledge ")
    assert said.out.startswith(WHOLE["verdict"])


def test_who_was_revoked_is_told_after_the_members(tmp_path: Path) -> None:
    """With what came of it."""
    gone = {"name": "cy", "by": "anna", "at_ms": "1800000000000", "shelved": 2}
    answer = {
        **PARTLY,
        "device": "anna",
        "library": "home",
        "rows": "1",
        "tags": "0",
        "revoked": [{**gone, "refused_at_ms": "1800000000000"}],
    }
    with answering(tmp_path, http(answer)):
        out = run("--home", str(tmp_path), "status").out
    assert "  cy: revoked by anna on 2027-01-15" in out
    assert "it called and was refused 2027-01-15" in out
    assert "2 commits of it that nobody is known to build on stay shelved" in out
