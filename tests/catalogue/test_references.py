"""Records by what a person calls them."""

from __future__ import annotations

import pytest

from leaderless.catalogue.references import ending, fitting, made, the_one
from leaderless.errors import NotFoundError, UsageError

ONE = bytes.fromhex("01930000000070008000aaaaaaaabbbb")
TWO = bytes.fromhex("01930000000170008000aaaaaaaacccc")
LIKE_ONE = bytes.fromhex("01930000000270008000aaaaaaa1bbbb")


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("0193", [ONE, TWO]),
        ("019300000001", [TWO]),
        ("cccc", [TWO]),
        ("CCCC", [TWO]),
        ("ccc", []),
        ("aaaa", []),
        (TWO.hex(), [TWO]),
        ("01930000-0001-7000-8000-aaaaaaaacccc", [TWO]),
        ("", []),
        ("%%%%", []),
    ],
)
def test_ids_fit_by_either_end(reference: str, found: list[bytes]) -> None:
    """Four digits of the beginning or end are enough; the middle and fewer digits are not."""
    assert fitting(reference, [ONE, TWO]) == found


def test_an_empty_name_is_no_name() -> None:
    """Nobody meant something that is not there; somebody's variable was empty."""
    with pytest.raises(UsageError, match="an empty name names no tag"):
        the_one("tag", "", [], [], lambda _: "", "leaderless tag list")


def test_an_ending_is_as_short_as_it_can_be() -> None:
    """Where four digits fit another id too, as many more are shown as tell them apart."""
    assert (ending(ONE, [ONE, TWO]), ending(ONE, [ONE, LIKE_ONE])) == ("bbbb", "abbbb")


def test_an_ending_is_the_whole_id_where_nothing_less_tells() -> None:
    """An id that another one begins with and ends in is shown whole."""
    same = bytes(16)
    assert ending(same, [same, bytes(15) + b"\x01", b"\x01" + bytes(15)]) == same.hex()


@pytest.mark.parametrize(
    ("uuid", "said"),
    [
        (ONE, "made 2024-11-06 05:43:40 UTC"),
        (bytes.fromhex("ffffffffffff70008000aaaaaaaabbbb"), ""),
        (bytes.fromhex("01930000000040008000aaaaaaaabbbb"), ""),
    ],
)
def test_an_id_tells_when_its_record_was_made(uuid: bytes, said: str) -> None:
    """Of an id of another kind, or from beyond the calendar, nothing is claimed."""
    assert made(uuid) == said


def _one(found: list[bytes]) -> bytes:
    about = {ONE: "color red", TWO: ""}
    return the_one("tag", "trip", found, [ONE, TWO], lambda uuid: about.get(uuid, ""), "look there")


def test_one_that_fits_is_the_one() -> None:
    """Its id is returned."""
    assert _one([TWO]) == TWO


def test_where_none_fits_the_hint_says_where_to_look() -> None:
    """The error names what was asked for."""
    with pytest.raises(NotFoundError, match="there is no tag “trip”") as caught:
        _one([])
    assert caught.value.hint == "look there"


def test_where_several_fit_each_is_told_apart() -> None:
    """Each comes with the end of its id, what is known of it and when it was made."""
    with pytest.raises(UsageError) as caught:
        _one([TWO, ONE])
    assert caught.value.message == (
        "“trip” fits 2 tags: bbbb (color red, made 2024-11-06 05:43:40 UTC),"
        " cccc (made 2024-11-06 05:43:40 UTC)"
    )


def test_a_crowd_is_counted() -> None:
    """Ten are told apart, the rest is a number."""
    crowd = [bytes([at]) * 16 for at in range(12)]
    with pytest.raises(UsageError) as caught:
        the_one("tag", "x", crowd, crowd, lambda _: "", "")
    assert caught.value.message.endswith("0808, 0909, and 2 more")
