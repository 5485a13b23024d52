"""Virtual time and a scheduler whose dice are loaded: the same seed runs the same, event by event.

trio shuffles the tasks that are ready, by a generator of its own; here, and nowhere else, that one
is seeded. No thread may run beside the loop: it would break the order and hold up the clock.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_T = TypeVar("_T")


_SELDOM = 100
"""One of so many looks at the world outside is taken: nothing but a signal ever comes from there."""


def run(work: Callable[[], Awaitable[_T]], seed: int) -> _T:
    """Return what `work` returns; time jumps ahead whenever everybody waits for it."""
    scheduler = trio._core._run  # noqa: SLF001 - trio has no public way to be repeatable
    outside: Any = scheduler.TheIOManager  # type: ignore[attr-defined]
    was, look, looks = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, outside.get_events, count()  # noqa: SLF001
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    scheduler._r.seed(seed)  # noqa: SLF001
    outside.get_events = lambda *about: [] if next(looks) % _SELDOM else look(*about)
    try:
        return trio.run(work, clock=MockClock(autojump_threshold=0))
    finally:
        outside.get_events = look
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = was  # type: ignore[misc]  # noqa: SLF001
