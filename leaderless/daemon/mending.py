"""Before a start: a damaged database is replaced, and the service manager asked for patience.

What is damaged, and by what it is replaced, decides store/repair.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from leaderless.clock import wall_ms
from leaderless.store import repair

if TYPE_CHECKING:
    from pathlib import Path

    from leaderless.clock import Clock
    from leaderless.notify import Notifier

ASK_S: Final = 20.0
"""Between two times that the manager is asked: well within what it gives a start (90 s by default)."""
MORE_US: Final = 90_000_000
"""What it is asked for each time."""


def mend_before_start(database: Path, clock: Clock, nonce: bytes, notifier: Notifier) -> None:
    """Have a sound database stand at its place, and log what was replaced. Blocks.

    Raises as `repair.mend` does; `nonce` is what it takes.
    """
    asked = clock.monotonic()

    def ask_for_time() -> None:
        """Looking at a large file on a slow disk is no hang."""
        nonlocal asked
        if clock.monotonic() >= asked + ASK_S:
            asked = clock.monotonic()
            notifier.tell(f"EXTEND_TIMEOUT_USEC={MORE_US}")

    replaced = repair.mend(database, wall_ms(clock), nonce, ask_for_time)
    if replaced is not None:
        log = structlog.get_logger()
        log.error("database_replaced", aside=replaced.aside, why=replaced.fault)
