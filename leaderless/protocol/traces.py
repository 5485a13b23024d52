"""Which commits stored bytes speak of, without making objects of them: millions are looked through.

Only bytes that were made or found valid here come in; what a record or a body means is not decided
in this module (`records`, `commits`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack

from leaderless.protocol import limits
from leaderless.protocol.packing import unpack_each

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[bytes, int]
"""A position: (feed, seq)."""


def in_record(state: bytes | None, deaths: bytes | None, remains: bytes | None) -> Iterator[Place]:
    """Yield the positions of the dots, writes and deaths of a record; some come several times."""
    for packed in (state, remains):
        if packed is not None:
            feeds, dots, writes = msgpack.unpackb(packed, max_array_len=len(packed))
            for feed, seq in dots:
                yield feeds[feed], seq
            for write in writes:
                yield feeds[write[4]], write[5]
    if deaths is not None:
        for _, feed, seq, _, dots in msgpack.unpackb(deaths):
            yield feed, seq
            for dot in dots:
                yield dot[0], dot[1]


def replaced_by(body: bytes) -> Iterator[Place]:
    """Yield the positions of what the changes of a commit replaced or took away knowingly."""
    pieces = unpack_each(body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
    feeds = next(pieces)
    for _, _, _, _, writes, seen, *_ in pieces:
        for _, feed, seq, _ in seen:
            yield feeds[feed], seq
        for write in writes:
            for _, feed, seq, _ in write[3]:
                yield feeds[feed], seq
