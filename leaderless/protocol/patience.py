"""Pauses that grow: how long something that went wrong is left alone before it is tried again.

Times are seconds of whatever clock the caller reads. What went wrong is not known here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

FORGOTTEN_S: Final = 600.0
"""What went well for so long after its pause begins with the shortest one again."""

_What = TypeVar("_What", bound="Hashable")


class _Rest(NamedTuple):
    until: float
    length_s: float


class Rests(Generic[_What]):
    """What rests until when, and for how long it did in a row."""

    def __init__(self, least_s: float, most_s: float) -> None:
        """Let things rest for `least_s` at first, twice as long each time after, up to `most_s`."""
        self._least_s = least_s
        self._most_s = most_s
        self._rests: dict[_What, _Rest] = {}

    def add(self, what: _What, now: float) -> float:
        """Something went wrong again; return until when it rests."""
        last = self._rests.get(what)
        if last is None or now > last.until + FORGOTTEN_S:
            length_s = self._least_s
        else:
            length_s = min(2 * last.length_s, self._most_s)
        self._rests[what] = _Rest(now + length_s, length_s)
        return now + length_s

    def clear(self, what: _What) -> None:
        """It went well: the next pause is the shortest."""
        self._rests.pop(what, None)

    def until(self, what: _What) -> float:
        """Return until when something rests, a time that is over if it does not."""
        rest = self._rests.get(what)
        return -math.inf if rest is None else rest.until

    def length_s(self, what: _What) -> float:
        """Return how long its last pause was, 0 if it had none since it went well."""
        rest = self._rests.get(what)
        return 0.0 if rest is None else rest.length_s
