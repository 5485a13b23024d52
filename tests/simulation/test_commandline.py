"""What `scripts/simulate` prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.simulation.commandline import main
from scripts.simulation.kept import whole_lines
from tests.simulation.planted import PLANTED

FEW = ["--seeds", "2", "--steps", "30", "--devices", "3-3"]


def test_the_totals_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """In words for people: how many seeds, what went wrong on purpose, what was violated."""
    assert main(FEW) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 seeds, 60 steps")
    assert out.endswith("Violations: 0.\n")


def test_the_totals_are_told_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """As one line of JSON, with every kind of fault."""
    assert main([*FEW, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["seeds"], told["steps"], told["violations"]) == (1, 2, 60, [])
    assert {"crash", "partition", "full", "clock", "restore"} <= set(told["faults"])
    assert told["cpu_s_per_seed"] > 0


def test_sessions_are_summed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What two sessions printed is what one would have printed for all their seeds."""
    sessions = [tmp_path / "one.json", tmp_path / "two.json"]
    for start, path in enumerate(sessions):
        main(["--seeds", "1", "--start", str(start), *FEW[2:], "--json"])
        path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main([*FEW, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert main(["--sum", *map(str, sessions), "--json"]) == 0
    summed = json.loads(capsys.readouterr().out)
    timed = {"took_s", "cpu_s", "cpu_s_per_seed", "virtual_s"}
    assert {key: summed[key] for key in summed if key not in timed} == {
        key: whole[key] for key in whole if key not in timed
    }
    assert summed["virtual_s"] == pytest.approx(whole["virtual_s"], abs=0.01)


def test_a_session_that_was_stopped_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done is not done again; a line that was cut off is; the sum is that of all seeds."""
    path = tmp_path / "seeds.jsonl"
    one = ["--seeds", "1", *FEW[2:], "--out", str(path)]
    assert main(one) == 0
    first = path.read_bytes()
    path.write_bytes(first + b'{"seed": 1, "pl')
    capsys.readouterr()
    assert main([*FEW, "--out", str(path)]) == 0
    assert capsys.readouterr().out.startswith("1 seeds, 30 steps")
    assert path.read_bytes().startswith(first)
    assert main(["--sum", str(path)]) == 0
    assert capsys.readouterr().out.startswith("2 seeds, 60 steps")


def test_processes_share_the_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is run once, and tells the same as in one process."""
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for jobs, path in enumerate(paths, start=1):
        assert main([*FEW, "--jobs", str(jobs), "--out", str(path)]) == 0
    one, two = ({told["seed"]: told["digest"] for told in whole_lines(path)} for path in paths)
    assert one == two
    capsys.readouterr()
    assert main(["--sum", *map(str, paths)]) == 0
    assert capsys.readouterr().out.startswith("2 seeds")


def test_no_seed_is_begun_when_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    """In one process as in several."""
    for jobs in ("1", "2"):
        assert main([*FEW, "--minutes", "0", "--jobs", jobs]) == 0
        assert capsys.readouterr().out.startswith("0 seeds")


def test_a_violation_is_made_small_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code says so, too; what the devices said leads up to it."""
    bug = PLANTED["a clock that steps back"]
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        least, most = bug.devices
        wanted = ["--steps", str(bug.steps), "--devices", f"{least}-{most}"]
        assert main(["--seeds", "1", "--start", str(bug.seed), *wanted]) == 1
    shown = capsys.readouterr()
    assert "ran back" in shown.err
    assert f"of its {bug.steps} steps are enough" in shown.err
    assert shown.out.endswith("Violations: 1.\n")


def test_a_whole_conversation_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a seed that holds as well."""
    assert main(["--start", "3", "--steps", "10", "--devices", "2-2", "--transcript"]) == 0
    out = capsys.readouterr().out
    assert "anna → ben: hello" in out
    assert "All of it held" in out
