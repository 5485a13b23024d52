"""The file of `--out`: one line of totals for each seed that is done, written when it is done.

A session that is killed leaves what it has finished; one that goes on leaves out what is there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.simulation.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from scripts.simulation.world import Result


class Meant(NamedTuple):
    """What a seed means a plan with."""

    steps: int
    least: int
    most: int


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return what stands in a file of totals; a last line that was cut off is left out."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def add_up(lines: Iterable[Mapping[str, Any]]) -> Totals:
    """Return the sum; a seed that was run more than once counts once."""
    totals, seen = Totals(), set[tuple[int, tuple[int, ...]]]()
    for told in lines:
        if "seed" in told:
            run = (told["seed"], tuple(told["plan"]))
            if run in seen:
                continue
            seen.add(run)
        totals.add_json(told)
    return totals


class Kept:
    """A file that a session adds to."""

    def __init__(self, path: Path, meant: Meant) -> None:
        self._path = path
        self._meant = meant
        self.seeds: set[int] = set()
        """The seeds that were done with such plans before."""
        if path.exists():
            self._look()

    def _look(self) -> None:
        there = self._path.read_bytes()
        whole = there.rfind(b"\n") + 1
        if whole < len(there):  # it was stopped in the middle of a line
            with self._path.open("r+b") as file:
                file.truncate(whole)
        lines = whole_lines(self._path)
        self.seeds = {
            told["seed"] for told in lines if tuple(told.get("plan", ())) == tuple(self._meant)
        }

    def add(self, result: Result, took_s: float) -> None:
        """Add a seed, in one piece; `took_s` is what the session had to wait for it."""
        totals = Totals(took_s=took_s)
        totals.add(result)
        about = {"seed": result.plan.seed, "plan": self._meant, "digest": result.digest}
        line = json.dumps({**about, **totals.as_json()}) + "\n"
        with self._path.open("ab", buffering=0) as file:
            file.write(line.encode())
