"""What people write for sizes, times and fields, as it travels: pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def parse_fields(pairs: Iterable[str], unset: Iterable[str] = ()) -> dict[str, object]:
    """Return FIELD=VALUEs as the daemon takes them; what is given several times is a list."""
    given: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"“{pair}” is no FIELD=VALUE")
        given.setdefault(name, []).append(value)
    fields: dict[str, object] = {
        name: values[0] if len(values) == 1 else values for name, values in given.items()
    }
    for name in unset:
        if name in fields:
            raise UsageError(f"{name} is both set and unset")
        fields[name] = None
    return fields
