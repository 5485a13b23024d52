"""Virtual time and a scheduler whose dice are loaded: the same seed runs the same, event by event.

trio shuffles the tasks that are ready, by a generator of its own; here, and nowhere else, that one
is seeded. No thread may run beside the loop: it would break the order and hold up the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


def run(work: Callable[[], Awaitable[_T]], seed: int) -> _T:
    """Return what `work` returns; time jumps ahead whenever everybody waits for it."""
    scheduler = trio._core._run  # noqa: SLF001 - trio has no public way to be repeatable
    was = scheduler._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    scheduler._r.seed(seed)  # noqa: SLF001
    try:
        return trio.run(work, clock=MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = was  # type: ignore[misc]  # noqa: SLF001
