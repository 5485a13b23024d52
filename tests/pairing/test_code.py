"""The code that a person reads and types."""

from __future__ import annotations

from itertools import combinations

import pytest

from leaderless.errors import UsageError
from leaderless.pairing.code import WORD_COUNT, Code, make, parse, words


def one_slip_apart(one: str, other: str) -> bool:
    """Return whether one wrong, missing or additional letter turns a word into the other."""
    short, long = sorted((one, other), key=len)
    if len(short) == len(long):
        return sum(a != b for a, b in zip(short, long, strict=True)) == 1
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))


def test_the_list_holds_256_different_words() -> None:
    """Three words of it are 24 bits."""
    assert (len(words()), len(set(words()))) == (WORD_COUNT, WORD_COUNT)


def test_words_are_plain_lower_case_letters() -> None:
    """Whoever has any keyboard can type them."""
    assert [word for word in words() if not (word.isascii() and word.isalpha())] == []
    assert [word for word in words() if word != word.lower()] == []


def test_no_slip_of_one_letter_makes_another_word() -> None:
    """A typing mistake is noticed before it costs a try."""
    assert [pair for pair in combinations(words(), 2) if one_slip_apart(*pair)] == []


def test_a_new_code_draws_a_digit_and_each_word_anew() -> None:
    """Digit and words come from the drawn numbers, over their whole ranges."""
    asked: list[int] = []

    def below(limit: int) -> int:
        asked.append(limit)
        return limit - len(asked)

    listed = words()
    assert make(below).reveal() == f"6-{listed[255]}-{listed[254]}-{listed[253]}"
    assert asked == [256, 256, 256, 10]


def test_a_made_code_can_be_typed() -> None:
    """What one device shows, the other understands as the same secret."""
    made = make(lambda limit: limit // 3)
    assert parse(made.reveal()).secret() == made.secret()


@pytest.mark.parametrize(
    "text",
    [
        "4-maple-otter-lemon",
        "  4 MAPLE otter, Lemon\n",
        "4maple otter lemon",
        "4_maple.otter/lemon",
    ],
)
def test_case_and_separators_do_not_matter(text: str) -> None:
    """A code is understood however a person writes it down."""
    assert parse(text).secret() == b"4-maple-otter-lemon"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "maple-otter-lemon",
        "4-maple-otter",
        "4-maple-otter-lemon-apple",
        "44-maple-otter-lemon",
        "maple-4-otter-lemon",
        "٤-maple-otter-lemon",
    ],
)
def test_another_form_is_refused_with_an_example(text: str) -> None:
    """The error shows how a code looks."""
    with pytest.raises(UsageError, match="4-maple-otter-lemon"):
        parse(text)


def test_a_misspelt_word_gets_the_nearest_one_as_a_hint() -> None:
    """A slip costs no try, and the remedy is named."""
    with pytest.raises(UsageError, match="mapel") as caught:
        parse("4-mapel-otter-lemon")
    assert caught.value.hint == "did you mean maple?"


def test_a_word_like_no_other_gets_no_hint() -> None:
    """Nothing is suggested where nothing is near."""
    with pytest.raises(UsageError) as caught:
        parse("4-zzzzzzzzzz-otter-lemon")
    assert caught.value.hint is None


def test_a_code_does_not_show_in_logs() -> None:
    """Neither its text nor a part of it is in its repr or str."""
    shown = f"{Code(4, ('maple', 'otter', 'lemon'))!r} {Code(4, ('maple', 'otter', 'lemon'))}"
    assert [part for part in ("4", "maple", "otter", "lemon") if part in shown] == []
