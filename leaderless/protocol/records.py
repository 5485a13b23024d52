"""The permanent memory of a shared record as canonical bytes: what is stored, and what is hashed.

::

    state = [[feed, …], [[feed#, seq], …], [[field, subkey, value, stamp, feed#, seq, place,
             [dot#, …]], …]]

Feeds and dots are sorted, writes stand in the order of `registry.merge.canonical_order`, so equal
states have equal bytes on every replica. The element of the shared set hash is [model, uuid] +
these bytes; a record without a living dot has none.
"""

from __future__ import annotations

import msgpack

from leaderless.protocol.hashing import element
from leaderless.protocol.packing import pack
from registry.changes import Dot, WriteRef
from registry.hlc import Stamp
from registry.merge import RecordState, Write


def encode_state(state: RecordState) -> bytes | None:
    """Return the canonical bytes of a living record, None of a dead one."""
    if not state.alive:
        return None
    dots = sorted(state.dots)
    used = {dot.feed for dot in dots} | {write.ref.feed for write in state.writes}
    feeds = {feed: at for at, feed in enumerate(sorted(used))}
    places = {dot: at for at, dot in enumerate(dots)}
    return pack(
        [
            list(feeds),
            [[feeds[dot.feed], dot.seq] for dot in dots],
            [
                [
                    write.field,
                    write.subkey,
                    write.value,
                    write.ref.stamp.pack(),
                    feeds[write.ref.feed],
                    write.ref.seq,
                    write.ref.place,
                    sorted(places[dot] for dot in write.dots),
                ]
                for write in state.writes
            ],
        ]
    )


def decode_state(data: bytes | None) -> RecordState:
    """Return the state in bytes that `encode_state` made (our own, from our own database)."""
    if data is None:
        return RecordState()
    feeds, dots, writes = msgpack.unpackb(data, max_array_len=len(data))
    known = [Dot(feeds[feed], seq) for feed, seq in dots]
    return RecordState(
        frozenset(known),
        tuple(
            Write(
                field,
                subkey,
                value,
                WriteRef(Stamp.parse(stamp), feeds[feed], seq, place),
                frozenset(known[at] for at in on),
            )
            for field, subkey, value, stamp, feed, seq, place, on in writes
        ),
    )


def record_element(model: str, record: bytes, state: bytes | None) -> int:
    """Return what a record adds to the shared set hash; 0 if it is not alive."""
    return 0 if state is None else element(pack([model, record]) + state)


def encode_ref(ref: WriteRef) -> bytes:
    """Return a write's name as the journal keeps it."""
    return pack([ref.stamp.pack(), ref.feed, ref.seq, ref.place])


def decode_ref(data: bytes) -> WriteRef:
    """Return the name of a write from the journal."""
    stamp, feed, seq, place = msgpack.unpackb(data)
    return WriteRef(Stamp.parse(stamp), feed, seq, place)
