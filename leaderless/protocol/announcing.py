"""What has changed of what we hold, told to everybody: an acknowledgement to some, news to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from leaderless.protocol.messages import Positions, Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

_Position = TypeVar("_Position")

ANNOUNCE_S: Final = 0.1
"""Between two announcements: what changes many times a second is told a few times."""


class Announcing:
    """What was announced last, and when."""

    def __init__(self) -> None:
        self._last = Vectors()
        self._at = float("-inf")

    def news(self, ours: Vectors, now: float) -> Positions | None:
        """Return what changed since the last time; None if nothing has, or it is too early."""
        if now < self._at + ANNOUNCE_S:
            return None
        owned, feeds = (
            _changed(ours.owned, self._last.owned),
            _changed(ours.feeds, self._last.feeds),
        )
        self._last = ours
        if not owned and not feeds:
            return None
        self._at = now
        return Positions(Vectors(owned, feeds))

    def told_one(self, ours: Vectors) -> None:
        """One of them, new here, was told all of it, and so more than was announced to everybody.

        What changes back before it is announced is no news to the others; to that one it is.
        """
        self._last = Vectors(
            _unchanged(ours.owned, self._last.owned), _unchanged(ours.feeds, self._last.feeds)
        )

    def due(self, ours: Vectors) -> float | None:
        """Return when there is news to tell, if nothing happens before."""
        return None if self._last == ours else self._at + ANNOUNCE_S


def _changed(
    now: Mapping[bytes, _Position], before: Mapping[bytes, _Position]
) -> dict[bytes, _Position]:
    return {key: value for key, value in now.items() if before.get(key) != value}


def _unchanged(
    now: Mapping[bytes, _Position], before: Mapping[bytes, _Position]
) -> dict[bytes, _Position]:
    return {key: value for key, value in before.items() if now.get(key) == value}
