"""Positions as messages carry them."""

from __future__ import annotations

from leaderless.protocol.messages import OwnedPosition
from registry.changes import Incarnation


def test_a_position_is_behind_by_life_first() -> None:
    """A newer life is ahead whatever its watermark; in one life the watermark decides."""
    old = OwnedPosition(Incarnation(1, b"n" * 8), 9)
    new = OwnedPosition(Incarnation(2, b"n" * 8), 1)
    assert old.behind(new)
    assert not new.behind(old)
    assert not old.behind(old)
