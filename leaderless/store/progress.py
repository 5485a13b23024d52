"""How far a long piece of work has come, for those who wait for it: rows counted, changes written."""

from __future__ import annotations


class Progress:
    """Told in whichever thread works, read from any other. Of two works at once it tells the last."""

    def __init__(self) -> None:
        self.done = 0

    def begin(self) -> None:
        """Something else is being done now."""
        self.done = 0

    def tell(self, done: int) -> None:
        """So much is done of it by now."""
        self.done = done

    def add(self, more: int) -> None:
        """So much more is done of it."""
        self.done += more
