"""Words for people."""

from __future__ import annotations

import pytest

from leaderless.errors import UsageError
from leaderless.words import checked_text, counted, doing


def test_one_thing_is_not_several() -> None:
    """Only one of a thing is named in the singular."""
    assert [counted(count, "path") for count in (0, 1, 2, "1")] == [
        "0 paths",
        "1 path",
        "2 paths",
        "1 path",
    ]


def test_one_thing_does_and_several_do() -> None:
    """The verb follows the number."""
    assert [doing(count, "path", "is", "are") for count in (1, 2)] == ["1 path is", "2 paths are"]


@pytest.mark.parametrize("text", ["", "x" * 65, "b\udcff"])
def test_a_name_is_text_of_some_length(text: str) -> None:
    """Nothing, too much, and bytes that are no text are refused by what they were to be."""
    with pytest.raises(UsageError, match="a device's name"):
        checked_text("a device's name", text, 64)
    assert checked_text("a device's name", "küche", 64) == "küche"
