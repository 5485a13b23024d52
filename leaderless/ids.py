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
_LOW_MASK = (1 << _LOW_BITS) - 1
_HIGH_MASK = (1 << _COUNTER_BITS - _LOW_BITS) - 1
_FIXED = 0x7000 << 16 | 0x8000


class RecordIds:
    """A source of 16-byte UUIDv7 ids that rise strictly; safe to share between threads."""

    def __init__(self, clock: Clock, tail: bytes | None = None) -> None:
        self._clock = clock
        self._tail = secrets.token_bytes(6) if tail is None else tail
        self._last = 0
        self._lock = threading.Lock()

    def new(self) -> bytes:
        """Return an id above every id that this object returned before."""
        return self.many(1)[0]

    def many(self, count: int) -> list[bytes]:
        """Return so many ids, each above all before it, in less time than one by one."""
        with self._lock:
            first = max(wall_ms(self._clock) << _COUNTER_BITS, self._last + 1)
            self._last = first + count - 1
        return [_head(number) + self._tail for number in range(first, first + count)]


def _head(number: int) -> bytes:
    """Return the first ten bytes of an id: milliseconds and counter, with version and variant."""
    milliseconds = number >> _COUNTER_BITS
    high = number >> _LOW_BITS & _HIGH_MASK
    low = number & _LOW_MASK
    return (milliseconds << 32 | high << 16 | low | _FIXED).to_bytes(10, "big")


def derived(namespace: bytes, *parts: bytes) -> bytes:
    """Return the UUIDv5 of `parts` in `namespace` (16 bytes); each part is length-prefixed."""
    name = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    digest = bytearray(hashlib.sha1(namespace + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)
