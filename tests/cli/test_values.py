"""Sizes and times as people write them."""

from __future__ import annotations

import datetime as dt

import pytest

from leaderless.cli.values import parse_size, parse_time_ms
from leaderless.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("300", 300),
        ("300b", 300),
        (" 10M ", 10 << 20),
        ("1.5G", 3 << 29),
        ("2 KiB", 2048),
        ("2kb", 2048),
        ("1tb", 1 << 40),
        ("0.5k", 512),
    ],
)
def test_sizes_have_units_of_1024(text: str, size: int) -> None:
    """In any case, with or without a blank; no unit is bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "much", "10X", "10bb", "10ib", "-5", "1e9", "1.", ".5", "١٠", "9" * 400]
)
def test_what_is_no_size_is_refused_with_the_form(text: str) -> None:
    """The error shows what could be written."""
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert "10M" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("12H", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1y", 31_536_000),
    ],
)
def test_spans_count_back_from_now(text: str, seconds: int) -> None:
    """Seconds, minutes, hours, days, weeks and years."""
    assert parse_time_ms(text, 10**13) == 10**13 - seconds * 1000


def test_a_moment_with_its_zone_is_that_moment() -> None:
    """The clock of this machine does not matter then."""
    assert parse_time_ms("2026-01-31T00:00:00+00:00", 0) == 1_769_817_600_000


def test_a_date_is_its_midnight_here() -> None:
    """Without a zone, local time is meant."""
    midnight = dt.datetime(2026, 1, 31).astimezone()
    assert parse_time_ms("2026-01-31", 0) == int(midnight.timestamp() * 1000)


@pytest.mark.parametrize(
    "text", ["", "much", "7x", "-7d", "2026-13-01", "0001-01-01", "9" * 20 + "d"]
)
def test_what_is_no_time_is_refused_with_the_form(text: str) -> None:
    """Also what no calendar of this machine holds; the error shows what could be written."""
    with pytest.raises(UsageError) as caught:
        parse_time_ms(text, 0)
    assert "7d" in (caught.value.hint or "")
