"""Sizes and times as people write them."""

from __future__ import annotations

import pytest

from leaderless.cli.values import parse_size, parse_time_ms
from leaderless.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [("300", 300), ("10M", 10 << 20), ("1.5G", 3 << 29), ("2 KiB", 2048), ("1tb", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    """Units are powers of 1024, in any case."""
    assert parse_size(text) == size


def test_times() -> None:
    """Spans count back from now, dates stand for their midnight."""
    assert parse_time_ms("7d", 10**12) == 10**12 - 7 * 86_400_000
    assert parse_time_ms("2026-01-31T00:00:00+00:00", 0) == 1_769_817_600_000
    assert parse_time_ms("2026-01-31", 0) % 1_000 == 0


@pytest.mark.parametrize("parse", [parse_size, lambda text: parse_time_ms(text, 0)])
def test_nonsense_is_refused_with_the_form(parse) -> None:  # noqa: ANN001
    """The error shows what could be written."""
    with pytest.raises(UsageError) as caught:
        parse("much")
    assert caught.value.hint
