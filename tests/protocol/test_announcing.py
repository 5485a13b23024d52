"""What is told of what we hold, and how often."""

from __future__ import annotations

from leaderless.protocol.announcing import ANNOUNCE_S, Announcing
from leaderless.protocol.messages import FeedPosition, OwnedPosition, Positions, Vectors
from registry.changes import Incarnation

LIFE = Incarnation(1, bytes(8))
OWNER, OTHER, FEED = b"o" * 16, b"p" * 16, b"f" * 44


def _vectors(watermark: int, received: int) -> Vectors:
    owned = {OWNER: OwnedPosition(LIFE, watermark), OTHER: OwnedPosition(LIFE, 1)}
    return Vectors(owned, {FEED: FeedPosition(received, 0)})


def test_what_changed_is_told_and_nothing_else() -> None:
    """All at first, then what differs from what was told last."""
    announcing = Announcing()
    assert announcing.news(_vectors(1, 1), 0) == Positions(_vectors(1, 1))
    owned = {OWNER: OwnedPosition(LIFE, 2)}
    assert announcing.news(_vectors(2, 1), 1) == Positions(Vectors(owned, {}))
    feeds = {FEED: FeedPosition(2, 0)}
    assert announcing.news(_vectors(2, 2), 2) == Positions(Vectors({}, feeds))
    assert announcing.news(_vectors(2, 2), 3) is None


def test_what_changes_all_the_time_is_told_a_few_times_a_second() -> None:
    """It waits for its time; until then the newest is what will be told."""
    announcing = Announcing()
    announcing.news(_vectors(1, 1), 0.0)
    assert announcing.due(_vectors(1, 1)) is None
    assert announcing.news(_vectors(2, 1), ANNOUNCE_S / 2) is None
    assert announcing.due(_vectors(3, 1)) == ANNOUNCE_S
    assert announcing.news(_vectors(3, 1), ANNOUNCE_S) is not None


def test_who_was_told_all_of_it_hears_what_changed_back_since() -> None:
    """A position that was told to one alone is announced, though to the others it is no news."""
    announcing = Announcing()
    announcing.news(_vectors(1, 1), 0)
    announcing.told_one(_vectors(2, 1))
    owned = {OWNER: OwnedPosition(LIFE, 1)}
    assert announcing.due(_vectors(1, 1)) == ANNOUNCE_S
    assert announcing.news(_vectors(1, 1), 1) == Positions(Vectors(owned, {}))


def test_who_was_told_what_everybody_was_told_makes_no_news() -> None:
    """What stands where it was announced to stand waits for nothing."""
    announcing = Announcing()
    announcing.news(_vectors(1, 1), 0)
    announcing.told_one(_vectors(1, 1))
    assert announcing.due(_vectors(1, 1)) is None
