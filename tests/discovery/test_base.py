"""What a hint is."""

from __future__ import annotations

from leaderless.discovery.base import Hint, HintKind


def test_a_hint_is_an_address_and_what_for() -> None:
    """A hint has no place for anything that says who is there."""
    assert Hint._fields == ("host", "port", "kind")


def test_the_same_address_for_the_same_thing_is_the_same_hint() -> None:
    """Hints that are repeated can be told from new ones."""
    once, again = (Hint("192.0.2.1", 4747, HintKind.SYNC) for _ in range(2))
    assert {once, again, Hint("192.0.2.1", 4747, HintKind.PAIR)} == {
        once,
        Hint("192.0.2.1", 4747, HintKind.PAIR),
    }
