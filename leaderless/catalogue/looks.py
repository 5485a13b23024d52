"""What a person here has seen of what others did: how far every feed had taken effect at the last look.

No time takes part in that: clocks step back, and much has its effect within one millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from leaderless.protocol.packing import pack
from leaderless.store import meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

Seen = Mapping[bytes, int]
"""By feed, the number of its last commit that had taken effect."""

_SEEN = "last_look"
_AT_MS = "last_look_ms"


class Look(NamedTuple):
    """The last look: when it was, by the clock of this device, and what there was to see.

    Of a look at an older version only the time is known: then `after_applied_ms` is the time after
    which something has to have had its effect to be news, and `seen` is None.
    """

    at_ms: int | None
    seen: Seen | None
    after_applied_ms: int | None = None


def last_look(connection: Connection) -> Look:
    """Return the last look that counted; before the first one, nothing was seen."""
    at_ms, packed = meta.get(connection, _AT_MS), meta.get(connection, _SEEN)
    if packed is not None:
        return Look(at_ms, _unpacked(packed))
    if at_ms is not None:
        # What had its effect in that very millisecond may not have been there yet.
        return Look(at_ms, None, at_ms - 1)
    return Look(None, {})


def applied(connection: Connection) -> Seen:
    """Return all that there is to see now."""
    rows = connection.exec_driver_sql("SELECT feed, applied FROM feed")
    return {bytes(feed): int(upto) for feed, upto in rows}


def remember(connection: Connection, seen: Seen, now_ms: int) -> None:
    """Let a look at `seen` count; what an earlier one has seen beyond it stays seen."""
    packed = meta.get(connection, _SEEN)
    held = {} if packed is None else _unpacked(packed)
    both = {feed: max(held.get(feed, 0), seen.get(feed, 0)) for feed in sorted({*held, *seen})}
    meta.put(connection, _SEEN, pack([list(item) for item in both.items()]))
    meta.put(connection, _AT_MS, now_ms)


def _unpacked(packed: bytes) -> dict[bytes, int]:
    return dict(msgpack.unpackb(packed, max_array_len=len(packed)))
