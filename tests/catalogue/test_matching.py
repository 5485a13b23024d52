"""What a person types, against names."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from leaderless.catalogue import matching
from leaderless.catalogue.matching import folded, name_holds, readings
from leaderless.escape import printable
from tests.catalogue.shelf import File, ask, put_files
from tests.replicas import Replica


@pytest.mark.parametrize(
    "other", ["Übung", "U\u0308bung", "übung", "u\u0308bung", "ÜBUNG", "U\u0308BUNG"]
)
def test_spellings_of_a_word_are_one(other: str) -> None:
    """Upper and lower case, composed and decomposed letters are the same to people."""
    assert folded(other) == folded("übung")


def test_other_letters_are_other_words() -> None:
    """A letter without its mark is another letter."""
    assert folded("ubung") != folded("übung")


@pytest.mark.parametrize(("at_end", "expected"), [(False, True), (True, False)])
def test_the_end_of_a_name_is_told_from_its_middle(at_end: bool, expected: bool) -> None:
    """What a name has to end in does not count in its middle."""
    assert name_holds("Größe.txt".encode(), folded("größe"), at_end=at_end) is expected


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_every_name_can_be_given_as_it_is_shown(name: str) -> None:
    """One reading of the shown form is the name itself, whatever its characters are."""
    assert name in readings(printable(name))


@pytest.mark.parametrize("name", [b"\x9b31m", "\x9b31m".encode(), "soft\u00adhyphen".encode()])
def test_a_byte_and_a_character_that_are_shown_alike_are_both_meant(name: bytes) -> None:
    """Neither reading of such an escape is lost."""
    assert name.decode("utf-8", "surrogateescape") in readings(printable(name))


@pytest.mark.parametrize("typed", ["plain", "C:\\new", "\\q", "\\x4", "\\Uffffffff", "50%"])
def test_what_was_typed_is_always_one_reading(typed: str) -> None:
    """A backslash that stands for itself is looked for too."""
    assert readings(typed)[0] == typed


def test_no_other_character_folds_to_what_a_name_surely_holds() -> None:
    """Else names would be passed over that hold what was typed."""
    others = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000)))
    assert not [other for other in others if matching._SURE.search(folded(other))]


@pytest.mark.parametrize("typed", ["%", "_", "100%", "a_b", "x%y", "\\", ";", "K", "7"])
def test_signs_of_a_pattern_stand_for_themselves(replica: Replica, typed: str) -> None:
    """A name holds a percent sign or it does not."""
    shelf = ["100%", "1000", "a_b", "aXb", "x%y", "xzy", "\\", ";", "\u037e", "\u212a 7", "plain"]
    put_files(replica, [File(name.encode()) for name in shelf], path=b"/d")

    def fit(connection: Connection) -> set[bytes]:
        condition, values = matching.holds(connection, typed)
        query = f"SELECT name FROM entry e WHERE e.parent IS NOT NULL AND {condition}"  # noqa: S608
        return set(connection.exec_driver_sql(query, tuple(values)).scalars())

    expected = {name.encode() for name in shelf if folded(typed) in folded(name)}
    assert ask(replica, fit) == expected


def test_a_number_beyond_all_characters_stands_for_itself() -> None:
    """It has one reading, and is no error."""
    assert readings("\\Uffffffff") == ["\\Uffffffff"]


def test_endless_text_has_no_reading() -> None:
    """No name is that long; nothing is searched for it."""
    assert readings("x" * 5_000) == []


@pytest.mark.parametrize(
    ("typed", "at_end", "names"),
    [
        ("TAR.GZ", True, {b"a.tar.gz"}),
        ("größe", True, {"Gro\u0308ße".encode()}),
        ("\udcff", True, {b"ends\xff"}),
        ("\udcff", False, {b"ends\xff", b"\xffbegins"}),
        ("\ud800", False, set()),
        ("K", False, {"5 \u212a".encode()}),
        ("x" * 5_000, False, set()),
    ],
)
def test_the_database_finds_what_fits(
    replica: Replica, typed: str, at_end: bool, names: set[bytes]
) -> None:
    """ASCII names, names in other scripts and names that are not UTF-8 are all looked at."""
    shelf = [b"a.tar.gz", "Gro\u0308ße".encode(), b"ends\xff", b"\xffbegins", "5 \u212a".encode()]
    put_files(replica, [File(name) for name in shelf], path=b"/d")

    def fit(connection: Connection) -> set[bytes]:
        condition, values = matching.holds(connection, typed, at_end=at_end)
        query = f"SELECT name FROM entry e WHERE {condition}"  # noqa: S608 - ours
        return set(connection.exec_driver_sql(query, tuple(values)).scalars())

    assert ask(replica, fit) == names


_LETTERS = st.sampled_from(
    [*"aAkKsSfi 7.%_e", *"äÄßẞſıİÅéﬁǰŉ", "\u0301", "\u0307", "\u0331", "\u212a", "\u1100", "\u1161"]
)
_NAMES = st.lists(
    st.one_of(_LETTERS.map(lambda one: one.encode()), st.sampled_from([b"\xff", b"\x80", b"\xc3"])),
    min_size=1,
    max_size=6,
).map(b"".join)


@given(_NAMES, st.lists(_LETTERS, min_size=1, max_size=3).map("".join), st.booleans())
def test_the_database_finds_what_a_name_holds(name: bytes, typed: str, at_end: bool) -> None:
    """Marks, ligatures, letters that fold to others, and bytes that are no text."""
    with closing(create_engine("sqlite://").connect()) as connection:
        condition, values = matching.holds(connection, typed, at_end=at_end)
        query = f"SELECT {condition} FROM (SELECT ? AS name) e"  # noqa: S608 - ours
        found = connection.exec_driver_sql(query, (*values, name)).scalar_one()
    assert bool(found) is name_holds(name, folded(typed), at_end=at_end)
