"""Stamps and the clock."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidStampError
from registry.hlc import (
    CEILING_MS,
    MAX_COUNTER,
    MAX_DRIFT_MS,
    MAX_TAG,
    Clock,
    Stamp,
    is_from_future,
    stamp_above,
)

stamps = st.builds(
    Stamp, st.integers(0, CEILING_MS - 1), st.integers(0, MAX_COUNTER), st.integers(0, MAX_TAG)
)


@given(stamps)
def test_a_stamp_survives_packing(stamp: Stamp) -> None:
    """Packing and parsing give the same stamp, and the bytes are a UUIDv7."""
    packed = stamp.pack()
    assert Stamp.parse(packed) == stamp
    assert uuid.UUID(bytes=packed).version == 7
    assert uuid.UUID(bytes=packed).variant == uuid.RFC_4122


@given(stamps, stamps)
def test_bytes_compare_as_stamps_do(one: Stamp, other: Stamp) -> None:
    """The order of the bytes is the order of the stamps."""
    assert (one.pack() < other.pack()) == (one < other)


@pytest.mark.parametrize(
    "data",
    [
        b"short",
        uuid.UUID(int=0).bytes,
        uuid.uuid5(uuid.NAMESPACE_DNS, "x").bytes,
        bytes.fromhex("00000000000070000000000000000000"),
    ],
)
def test_other_bytes_are_no_stamp(data: bytes) -> None:
    """What is no UUIDv7 of sixteen bytes is refused."""
    with pytest.raises(InvalidStampError):
        Stamp.parse(data)


def test_a_stamp_beyond_the_ceiling_is_invalid() -> None:
    """A stamp of 2^47 milliseconds is refused by its bytes."""
    with pytest.raises(InvalidStampError, match="ceiling"):
        Stamp.parse(Stamp(CEILING_MS, 0, 0).pack())


def test_the_successor_carries_into_milliseconds() -> None:
    """After the last count of a millisecond comes the first of the next."""
    assert Stamp(5, MAX_COUNTER, 1).successor(2) == Stamp(6, 0, 2)
    assert Stamp(5, 7, 1).successor(2) == Stamp(5, 8, 2)


def test_nothing_follows_the_last_stamp() -> None:
    """Below the ceiling no stamp is left after the last one."""
    with pytest.raises(InvalidStampError):
        Stamp(CEILING_MS - 1, MAX_COUNTER, 0).successor(0)


@given(st.lists(st.integers(-10_000, 10**13), min_size=2))
def test_ticks_rise_wherever_the_wall_goes(walls: list[int]) -> None:
    """Each tick is above the one before, also when the wall steps back."""
    clock = Clock()
    made = []
    for wall in walls:
        clock, stamp = clock.tick(wall, 1)
        made.append(stamp)
    assert made == sorted(set(made))


@given(stamps, st.integers(0, 10**13))
def test_observing_never_pulls_past_the_drift_bound(stamp: Stamp, wall: int) -> None:
    """A stamp from the future moves the clock at most 60 seconds past the wall."""
    clock = Clock(wall, 3).observe(stamp, wall)
    assert clock.ms <= max(wall + MAX_DRIFT_MS, wall)
    assert clock >= Clock(wall, 3)


def test_observing_a_near_stamp_puts_the_next_tick_above_it() -> None:
    """What we saw within the bound is below all we write next."""
    seen = Stamp(1_050, 9, 4)
    _, stamp = Clock(1_000, 0).observe(seen, 1_000).tick(1_000, 1)
    assert stamp > seen


def test_a_commit_is_above_what_it_overwrites() -> None:
    """The stamp of a commit is its tick, or just above a higher one that it replaces."""
    tick = Stamp(10, 0, 7)
    assert stamp_above(tick, None) == tick
    assert stamp_above(tick, Stamp(9, 5, 1)) == tick
    assert stamp_above(tick, Stamp(99, 5, 1)) == Stamp(99, 6, 7)


def test_only_the_author_of_a_jump_is_from_the_future() -> None:
    """Who builds on a future value by one count is not named; who jumped is."""
    wall = 1_000_000
    jump = Stamp(wall + MAX_DRIFT_MS + 1, 0, 1)
    assert is_from_future(jump, None, wall)
    assert not is_from_future(jump.successor(2), jump, wall)
    assert not is_from_future(Stamp(wall + MAX_DRIFT_MS, 0, 1), None, wall)
