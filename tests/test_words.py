"""Numbers in words."""

from __future__ import annotations

from leaderless.words import counted


def test_one_thing_is_not_several() -> None:
    """Only one of a thing is named in the singular."""
    assert [counted(count, "path") for count in (0, 1, 2, "1")] == [
        "0 paths",
        "1 path",
        "2 paths",
        "1 path",
    ]
