"""A sign of life of the writing connection: how often it has got on with something.

What was executed counts, not what was begun, and a long statement counts as it goes: a writer that
hangs (on a lock, on a disk that does not answer) has no pulse. What beats for it and who listens
stands elsewhere: store/engine.py and daemon/watchdog.py.
"""

from __future__ import annotations

from typing import Final

STEPS: Final = 100_000
"""Of SQLite's machine, for one beat within a statement: some milliseconds."""


class Pulse:
    """Counts up in whichever thread writes; read from any other."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> int:
        """Count one beat; returns 0, which tells SQLite to go on."""
        self.beats += 1
        return 0
