"""What conflicts are called."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.catalogue.conflict_ids import conflict_id, short_ids
from registry.changes import LIFE_BYTES, FeedId, WriteRef
from registry.hlc import Stamp

LOSER = WriteRef(Stamp(1_700_000_000_000, 5, 7), FeedId(b"d" * LIFE_BYTES + b"\0" * 16), 3, 1)
ABOUT: dict[str, Any] = {
    "model": "tag",
    "record": b"t" * 16,
    "field": "color",
    "subkey": "",
    "value": b"\xa3red",
    "loser": LOSER,
}


def test_the_id_follows_from_what_lost_for_ever() -> None:
    """Another version finds the same: people may have written it down."""
    assert conflict_id(**ABOUT).hex() == "664a216c2b5d1687e2b97cbc97fd6e88"


@pytest.mark.parametrize(
    "other",
    [
        {"model": "album"},
        {"record": b"u" * 16},
        {"field": "icon"},
        {"subkey": "place"},
        {"value": b"\xa4blue"},
        {"loser": LOSER._replace(stamp=Stamp(1_700_000_000_000, 6, 7))},
        {"loser": LOSER._replace(feed=b"e" * LIFE_BYTES + b"\0" * 16)},
        {"loser": LOSER._replace(seq=4)},
        {"loser": LOSER._replace(place=2)},
    ],
)
def test_what_is_another_conflict_has_another_id(other: dict[str, Any]) -> None:
    """Of any part of what lost."""
    assert conflict_id(**{**ABOUT, **other}) != conflict_id(**ABOUT)


def test_a_fork_that_is_heard_of_later_changes_no_id() -> None:
    """Whoever knows of it calls the feed by its branch; the author has signed the same."""
    branch = LOSER._replace(feed=b"d" * LIFE_BYTES + b"b" * 16)
    assert conflict_id(**{**ABOUT, "loser": branch}) == conflict_id(**ABOUT)


def test_ids_are_shown_as_short_as_they_are_told_apart() -> None:
    """Eight digits, or one more than the nearest has in common."""
    ids = [
        bytes.fromhex(digits.ljust(32, "0")) for digits in ("00ff", "00ff0000a", "00ff0000b", "c")
    ]
    assert [*short_ids([*ids, ids[0]]).values()] == [
        "00ff00000",
        "00ff0000a",
        "00ff0000b",
        "c0000000",
    ]
    assert short_ids([]) == {}
