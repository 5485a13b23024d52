"""Places in an order: always room for one more, short keys, the same order everywhere."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.catalogue.ordering import (
    MAX_KEY,
    is_key,
    key_between,
    keys_between,
    place,
    sort_key,
    spread_of,
)

PLACES = st.lists(st.floats(0, 1, exclude_max=True), max_size=60)
SPREADS = st.binary(min_size=16, max_size=16).map(spread_of)


def inserted(at: list[float], spread: str = "") -> list[str]:
    """Return keys after one insertion at each relative place."""
    keys: list[str] = []
    for each in at:
        index = int(each * (len(keys) + 1))
        before = keys[index - 1] if index else None
        after = keys[index] if index < len(keys) else None
        keys.insert(index, key_between(before, after, spread))
    return keys


@given(PLACES, SPREADS)
def test_there_is_always_room_between_two_keys(at: list[float], spread: str) -> None:
    """Wherever one inserts, keys rise strictly, compare as bytes do, and can be placed beside."""
    keys = inserted(at, spread)
    assert all(low < high for low, high in itertools.pairwise(keys))
    assert sorted(keys, key=lambda key: key.encode()) == keys
    assert all(is_key(key) for key in keys)


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("spread", ["", "abc"])
def test_keys_stay_short_at_either_end(end: int, spread: str) -> None:
    """A hundred thousand insertions at one end leave keys of a few characters."""
    key = None
    for _ in range(100_000):
        new = key_between(key, None, spread) if end else key_between(None, key, spread)
        assert key is None or (new > key) is bool(end)
        key = new
    assert key is not None
    assert len(key) <= 5 + len(spread)


@given(PLACES, st.integers(0, 300), SPREADS, st.floats(0, 1, exclude_max=True))
def test_many_keys_fit_into_one_gap(at: list[float], count: int, spread: str, where: float) -> None:
    """As many as wanted rise strictly between the two neighbours."""
    keys = inserted(at)
    index = int(where * (len(keys) + 1))
    before = keys[index - 1] if index else None
    after = keys[index] if index < len(keys) else None
    made = keys_between(before, after, count, spread)
    whole = [*keys[:index], *made, *keys[index:]]
    assert len(made) == count
    assert all(low < high for low, high in itertools.pairwise(whole))


def test_two_devices_that_append_offline_keep_their_photos_together() -> None:
    """What one command of each put into the same gap does not interleave."""
    one = keys_between("a0", None, 5, "abc")
    other = keys_between("a0", None, 5, "xyz")
    assert sorted(one + other) == one + other


def test_keys_made_at_one_spot_are_rarely_equal() -> None:
    """The digits taken from the records tell apart nearly all that two devices insert alike."""
    records = [random.Random(at).randbytes(16) for at in range(200)]
    made = {key_between("a0", "a1", spread_of(record)) for record in records}
    assert len(made) > 195


@pytest.mark.parametrize(
    ("before", "after"),
    [("a1", "a0"), ("a0", "a0"), ("", None), (None, "a10"), ("a", None), ("é0", None)],
)
def test_what_has_no_place_between_is_refused(before: str | None, after: str | None) -> None:
    """Equal, swapped and malformed neighbours are a mistake of the caller."""
    with pytest.raises(ValueError, match=r"place in an order|nothing between"):
        key_between(before, after)


def test_nothing_of_a_peer_is_a_key_unless_it_can_be_placed_beside() -> None:
    """Text that ends in zero, is endless, has other characters or no text at all is none."""
    for text in (None, 7, b"a0", "a00", "0a", "a", "A" + "0" * 26, "a-", "a0" + "1" * MAX_KEY):
        assert not is_key(text)
    assert is_key("A" + "0" * 25 + "1")
    assert key_between(None, "A" + "0" * 25 + "1") < "A" + "0" * 25 + "1"
    assert is_key(key_between(None, "A" + "0" * 25 + "1"))
    assert key_between("z" * 27, None) > "z" * 27


def test_what_has_no_usable_key_stands_last_by_its_id() -> None:
    """Ties are broken by the record's id, so the order is the same everywhere."""
    rows = [("junk!", b"2"), ("a1", b"9"), (None, b"1"), ("a1", b"3"), ("a0", b"8")]
    ordered = sorted(rows, key=lambda row: sort_key(*row))
    assert [record for _, record in ordered] == [b"8", b"3", b"9", b"1", b"2"]


MESSES = st.lists(st.sampled_from(["a0", "a1", "a1V", "Zz", None, "junk!", "a0" + "1" * 200]))


@given(MESSES, st.floats(0, 1, exclude_max=True), st.integers(1, 5))
def test_anything_can_be_put_anywhere_whatever_the_keys_are(
    mess: list[str | None], where: float, count: int
) -> None:
    """Equal, missing and broken keys are made anew where it takes that, and only then."""
    keys: list[str | None] = sorted(mess, key=lambda key: sort_key(key, b""))
    at = int(where * (len(keys) + 1))
    made, repaired = place(keys, at, count, "abc")
    after = [repaired.get(index, key) for index, key in enumerate(keys)]
    rows = [(key, "old", index) for index, key in enumerate(after)]
    rows[at:at] = [(key, "new", index) for index, key in enumerate(made)]
    ordered = sorted(rows, key=lambda row: sort_key(row[0], b""))
    assert ordered == rows
    assert len(made) == count
    neat = {key for key in keys if is_key(key)} == set(keys) and len(set(keys)) == len(keys)
    if neat and all(key is not None and len(key) < 10 for key in keys):
        assert repaired == {}


def test_keys_stay_short_however_often_one_inserts_into_one_gap() -> None:
    """When keys have become long, those around get new ones: seldom, and few of them."""
    keys: list[str | None] = ["a0", "a1"]
    rewritten = 0
    for _ in range(2_000):
        (made,), repaired = place(keys, 1, 1, "abc")
        for index, key in repaired.items():
            keys[index] = key
        keys.insert(1, made)
        rewritten += len(repaired)
    assert keys == sorted(keys, key=str)
    assert max(len(key or "") for key in keys) <= 64 + 3
    assert rewritten < 4_000
