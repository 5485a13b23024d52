"""Two daemons under load that are killed with SIGKILL again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.kill_rounds import run

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 20


def test_nothing_acknowledged_is_lost_in_twenty_kills(tmp_path: Path) -> None:
    """Each time the file is whole, every edit there, the daemon up in under 5 s; then both equal."""
    said: list[str] = []
    found = run(tmp_path, ROUNDS, 1, said.append)
    assert found["slow_starts"] == 0
    assert found["edits"] > ROUNDS
    assert found["met"] > ROUNDS // 2
    assert len(said) == ROUNDS // 10
