"""What people write for sizes and times, as numbers: pure."""

from __future__ import annotations

import datetime as dt
import re

from leaderless.errors import UsageError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SPANS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}


def parse_size(text: str) -> int:
    """Return bytes: 10M, 1.5G, 300."""
    found = re.fullmatch(
        r"([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*(?:([kmgt])(?:i?b)?|b)?", text.strip().lower()
    )
    if found is None:
        raise UsageError(f"“{text}” is no size", hint="write 300, 10M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def parse_time_ms(text: str, now_ms: int) -> int:
    """Return milliseconds since 1970: 7d (that long ago), 2026-01-31, 2026-01-31T12:00."""
    span = re.fullmatch(r"([0-9]{1,12})\s*([smhdwy])", text.strip().lower())
    if span is not None:
        return now_ms - int(span[1]) * _SPANS[span[2]] * 1000
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.astimezone()
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"“{text}” is no time", hint="write 7d, 12h or 2026-01-31") from error
