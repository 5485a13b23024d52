"""Ids of records: new ones rise within a process, derived ones are alike on every device.

A new id is a UUIDv7 (RFC 9562, section 6.2, methods 1 and 2: a counter beside the milliseconds,
and a tail drawn once per process) so that indexes append and neighbours compress. Ids are
opaque to everyone else: nothing may read a time out of them.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import TYPE_CHECKING

from leaderless.clock import wall_ms

if TYPE_CHECKING:
    from leaderless.clock import Clock

_COUNTER_BITS = 26
_LOW_BITS = 14


class RecordIds:
    """A source of 16-byte UUIDv7 ids that rise strictly; safe to share between threads."""

    def __init__(self, clock: Clock, tail: bytes | None = None) -> None:
        self._clock = clock
        self._tail = secrets.token_bytes(6) if tail is None else tail
        self._last = 0
        self._lock = threading.Lock()

    def new(self) -> bytes:
        """Return an id above every id that this object returned before."""
        with self._lock:
            self._last = max(wall_ms(self._clock) << _COUNTER_BITS, self._last + 1)
            last = self._last
        milliseconds, counter = last >> _COUNTER_BITS, last & ((1 << _COUNTER_BITS) - 1)
        high = counter >> _LOW_BITS
        low = counter & ((1 << _LOW_BITS) - 1)
        head = milliseconds << 32 | 0x7000 << 16 | high << 16 | 0x8000 | low
        return head.to_bytes(10, "big") + self._tail


def derived(namespace: bytes, *parts: bytes) -> bytes:
    """Return the UUIDv5 of `parts` in `namespace` (16 bytes); each part is length-prefixed."""
    name = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = bytearray(hashlib.sha1(namespace + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)
