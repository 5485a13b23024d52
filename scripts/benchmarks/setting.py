"""What a benchmark is given: sizes, homes to run on, how often, and where to say what takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.benchmarks.pairs import Templates

_T = TypeVar("_T")


class Setting(NamedTuple):
    """Sizes, homes, and how often each thing is run."""

    rows: int
    counted: int
    """Runs that count; one more goes before them and does not."""
    folder: Path
    templates: Templates
    say: Callable[[str], None]

    def runs(self, once: Callable[[], _T]) -> list[_T]:
        """Do something so often, after a warm-up; return what it gave each time that counts."""
        self.say("warming up")
        once()
        found = []
        for at in range(1, self.counted + 1):
            self.say(f"run {at} of {self.counted}")
            found.append(once())
        return found
