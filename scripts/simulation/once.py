"""What every device of a process computes from the same bytes is computed once.

A commit is checked and read by each of them; on machines of their own they share the time that takes.
Pure functions of bytes alone belong here: what depends on a device, its disk or its clock never does.
"""

from __future__ import annotations

from functools import lru_cache

from leaderless.protocol import commits
from leaderless.store import registers
from leaderless.sync import apply, signed

_PURE = (
    (apply, "verify"),
    (signed, "verify"),
    (commits, "decode_header"),
    (registers, "decode_state"),
)
_MOST = 4096
"""Results of each that are kept: more than are under way at a time."""


def share() -> None:
    """Have the devices of this process share the work; done once, before any of them runs."""
    for module, name in _PURE:
        right = getattr(module, name)
        if not hasattr(right, "cache_info"):
            setattr(module, name, lru_cache(_MOST)(right))
