"""What proof costs on a large library, measured on a small one."""

from __future__ import annotations

import json

import pytest

from scripts import scale


def test_a_small_library_is_counted_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Every row counts, what was planted is found and nothing else, and frames both ways are told."""
    assert scale.main(["--entries", "2000", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["verify"]["rows"], done["verify"]["right"]) == (2_003, True)
    found = done["diff"]
    assert (found["planted"], found["found"]) == (10, 10)
    assert found["rounds"] in range(2, 4)
    assert 0 < found["asked_bytes"] < found["answered_bytes"] < scale.TRAFFIC_BYTES


@pytest.mark.parametrize(
    ("bound", "value", "failed"),
    [("VERIFY_S", 0.0, "verify"), ("ROUNDS", 1, "diff"), ("TRAFFIC_BYTES", 100, "diff")],
)
def test_what_takes_more_than_its_bound_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bound: str,
    value: float,
    failed: str,
) -> None:
    """The exit code says so, and the line of what failed."""
    monkeypatch.setattr(scale, bound, value)
    assert scale.main(["--entries", "500"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == [
        line for line in lines if f"  {failed}: " in line
    ]
