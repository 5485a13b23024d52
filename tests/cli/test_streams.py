"""events and export, what `status` prints, and errors in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device
from tests.cli.asking import Said, answering, chunks, failed, http, run

Ask = Callable[..., Said]
PEER: dict[str, Any] = {
    "id": "ab" * 16,
    "name": "ben",
    "connected": True,
    "address": "192.0.2.1:4747",
    "phase": "live",
    "proved": True,
    "proved_at_ms": "1769817600000",
    "rows_behind": 0,
    "commits_behind": 0,
    "why_not": None,
    "last_seen_ms": "1769817600000",
}
REPORT: dict[str, Any] = {
    "verdict": "In sync with ben.",
    "health": "ok",
    "device": "anna",
    "device_id": "cd" * 16,
    "library": "home",
    "in_sync": True,
    "rows": "5",
    "tags": "1",
    "peers": [PEER],
    "locations": [],
    "warnings": [],
}


def _answered(tmp_path: Path, answer: dict[str, Any], *arguments: str) -> Said:
    with answering(tmp_path, http(answer)):
        return run("--home", str(tmp_path), *arguments)


def test_the_first_line_is_the_verdict(tmp_path: Path) -> None:
    """The rest says of what."""
    lines = _answered(tmp_path, REPORT, "status").out.splitlines()
    assert (lines[0], lines[2]) == ("In sync with ben.", "anna in library home: 5 rows, 1 tag")


def test_a_peer_that_is_not_proved_has_its_reason(tmp_path: Path) -> None:
    """Only a proof is called identical."""
    behind = {**PEER, "name": "cy", "proved": False, "why_not": "12 rows to come"}
    said = _answered(tmp_path, {**REPORT, "peers": [PEER, behind]}, "status").out
    assert ("ben: identical" in said, "cy: 12 rows to come" in said) == (True, True)


def test_a_running_scan_says_how_far_it_is(tmp_path: Path) -> None:
    """With the number of entries it has seen."""
    scan = {"location": "docs", "state": "scanning", "entries_seen": 77, "message": None}
    said = _answered(tmp_path, {**REPORT, "locations": [scan]}, "status").out
    assert "docs: scanning, 77 seen" in said


def test_a_warning_comes_with_its_remedy(tmp_path: Path) -> None:
    """What is wrong, and the act that mends it."""
    alert = {"code": "CLOCK", "text": "the clock is off", "hint": "timedatectl set-ntp true"}
    said = _answered(tmp_path, {**REPORT, "warnings": [alert]}, "status").out
    assert ("the clock is off" in said, "timedatectl set-ntp true" in said) == (True, True)


def test_names_of_others_steer_no_terminal(tmp_path: Path) -> None:
    """Whatever a device calls itself, its library or its folders."""
    evil = "x\x1b[31m\u202e"
    scan = {"location": evil, "state": "idle", "entries_seen": 0, "message": evil}
    alert = {"code": "X", "text": evil, "hint": evil}
    names = {"verdict": evil, "device": evil, "library": evil}
    lists = {"peers": [{**PEER, "name": evil}], "locations": [scan], "warnings": [alert]}
    said = _answered(tmp_path, {**REPORT, **names, **lists}, "status").out
    assert not {"\x1b", "\u202e"} & set(said)


def test_status_answers_in_json(ask: Ask) -> None:
    """The whole report, with a schema."""
    said = ask("status", "--json").json()
    assert (said["schema"], len(said["device_id"])) == (1, 32)


def test_peers_are_a_table(tmp_path: Path) -> None:
    """A line has name, phase, address and state."""
    row = _answered(tmp_path, {"peers": [PEER]}, "peers").out.splitlines()[1]
    assert row.split()[:4] == ["ben", "live", "192.0.2.1:4747", "identical"]


def test_peers_are_listed_for_programs(tmp_path: Path) -> None:
    """Each with all that is known of it."""
    assert _answered(tmp_path, {"peers": [PEER]}, "peers", "--json").json()["peers"] == [PEER]


def test_a_wait_that_is_over_in_vain_is_json_when_asked(ask: Ask) -> None:
    """Exit 75, and the reason is an object with a schema."""
    said = ask("--json", "wait", "--synced", "--timeout", "0")
    assert (said.code, said.json()["error"]["code"]) == (75, "timed_out")


def test_what_to_wait_for_has_to_be_said(ask: Ask) -> None:
    """A bare wait is a slip."""
    said = ask("wait")
    assert (said.code, "--synced" in said.err) == (2, True)


def test_a_wait_that_is_fulfilled_answers_in_json(tmp_path: Path) -> None:
    """The report of that moment."""
    assert _answered(tmp_path, REPORT, "wait", "--synced", "--json").json()["in_sync"] is True


def _events(daemon: Device, since: str, count: int) -> list[Any]:
    """Return the first events after `since`, as lines come while the command runs."""
    command = daemon.command("events", "--since", since)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        found = [json.loads(following.stdout.readline()) for _ in range(count)]
        following.terminate()
    return found


def test_events_of_another_run_are_said_to_be_missed(daemon: Device) -> None:
    """The first line is a gap, then comes what is there."""
    gap, event = _events(daemon, "unknown-1", 2)
    assert (gap["kind"], gap["schema"], event["schema"]) == ("gap", 1, 1)
    assert event["kind"] != "gap"


def test_events_go_on_after_the_one_that_was_seen(daemon: Device, ask: Ask, tmp_path: Path) -> None:
    """Who names the last id misses nothing and gets nothing twice."""
    (tmp_path / "eventful").mkdir()
    ask("location", "add", str(tmp_path / "eventful"), "--wait")
    _, first, second = _events(daemon, "unknown-1", 3)
    assert _events(daemon, first["id"], 1)[0]["id"] == second["id"]


def test_events_are_passed_on_as_they_come(tmp_path: Path) -> None:
    """Line by line, as the daemon said them."""
    with answering(tmp_path, chunks(b'{"id":"a-1"}\n', b'{"id":"a-2"}\n')):
        assert run("--home", str(tmp_path), "events").out == '{"id":"a-1"}\n{"id":"a-2"}\n'


def test_an_export_is_printed_byte_for_byte(tmp_path: Path) -> None:
    """A pipe gets what the daemon sent, whatever is in it."""
    line = '{"name":"é\x9b\u202e"}\n'
    with answering(tmp_path, chunks(line.encode())):
        assert run("--home", str(tmp_path), "export").out == line


def test_an_export_steers_no_terminal(tmp_path: Path) -> None:
    """On a terminal the same JSON has its dangerous characters spelled out."""
    line = '{"name":"é\x9b\u202e"}\n'
    with answering(tmp_path, chunks(line.encode())):
        said = run("--home", str(tmp_path), "export", terminal=True).out
    assert json.loads(said) == json.loads(line)
    assert not {"\x9b", "\u202e"} & set(said)


def test_an_export_that_breaks_off_is_no_success(tmp_path: Path) -> None:
    """A script does not take the beginning for the whole."""
    with answering(tmp_path, chunks(b"{}\n", whole=False)):
        assert run("--home", str(tmp_path), "export").code == 3


def test_each_line_of_an_export_is_a_record(ask: Ask) -> None:
    """With the schema of its form, sorted by model and id."""
    ask("tag", "create", "exported")
    records = [json.loads(line) for line in ask("export").out.splitlines()]
    keys = [(record["model"], record["id"]) for record in records]
    assert {record["schema"] for record in records} == {1}
    assert ("tag" in dict(keys), keys == sorted(keys)) == (True, True)


def test_a_reader_that_has_enough_is_no_traceback(daemon: Device) -> None:
    """Cut off by `head`, the command ends without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "leaderless", "--home", str(daemon.home), "export"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("verb", [["status"], ["peers"], ["export"], ["wait", "--synced"]])
def test_an_error_is_json_with_a_schema(tmp_path: Path, verb: list[str]) -> None:
    """Whatever was asked, a program reads what is wrong."""
    with answering(tmp_path, failed(403, "not_permitted", "no", "ask nicely")):
        said = run("--home", str(tmp_path), "--json", *verb)
    assert (said.code, said.json()) == (
        4,
        {"schema": 1, "error": {"code": "not_permitted", "message": "no", "hint": "ask nicely"}},
    )


def test_a_slip_is_no_place_in_the_stream(ask: Callable[..., Said]) -> None:
    """Exit 2, at once."""
    said = ask("events", "--since", "yesterday")
    assert (said.code, "no id of an event" in said.err) == (2, True)
