"""The permanent memory of a shared record as canonical bytes: what is stored, and what is hashed.

::

    state = [[feed, …], [[feed#, seq], …], [[field, subkey, value, stamp, feed#, seq, place,
             [dot#, …], guard?, settled?], …]]
    guard = [level, stamp, feed#], or nil for none if `settled` follows

Feeds and dots are sorted, writes stand in the order of `registry.merge.canonical_order`, so equal
states have equal bytes on every replica. The element of the shared set hash is [model, uuid] +
these bytes; a record without a living dot has none. What a record died of stands beside it::

    deaths  = [[stamp, feed, seq, place, [[feed, seq], …]], …]
    remains = the state with the dots of all deaths, and with the writes that hung on them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol.hashing import element
from leaderless.protocol.packing import from_extension, pack
from registry.changes import UNGUARDED, Dot, Guard, WriteRef
from registry.hlc import Stamp
from registry.state import Death, RecordState, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def encode_state(state: RecordState) -> bytes | None:
    """Return the canonical bytes of a living record, None of a dead one."""
    if not state.alive:
        return None
    dots = sorted(state.dots)
    used = {dot.feed for dot in dots} | {write.ref.feed for write in state.writes}
    used |= {write.guard.feed for write in state.writes if write.guard.level}
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
                    *_packed_rest(write, feeds),
                ]
                for write in state.writes
            ],
        ]
    )


def decode_state(
    data: bytes | None, deaths: bytes | None = None, remains: bytes | None = None
) -> RecordState:
    """Return the state in bytes that were made here (our own, from our own database)."""
    dots, writes = _decoded(data)
    return RecordState(dots, writes, _decode_deaths(deaths), _decoded(remains)[1])


def _decoded(data: bytes | None) -> tuple[frozenset[Dot], tuple[Write, ...]]:
    if data is None:
        return frozenset(), ()
    feeds, dots, writes = msgpack.unpackb(data, max_array_len=len(data), ext_hook=from_extension)
    known = [Dot(feeds[feed], seq) for feed, seq in dots]
    alone = frozenset(known) if len(known) == 1 else None
    refs: dict[tuple[Any, ...], WriteRef] = {}
    held = []
    for field, subkey, value, stamp, feed, seq, place, on, *rest in writes:
        # Most records were written by one change: its name is made once.
        name = (stamp, feed, seq, place)
        ref = refs.get(name)
        if ref is None:
            ref = refs[name] = WriteRef(Stamp.parse(stamp), feeds[feed], seq, place)
        dots_of = alone or frozenset(known[at] for at in on)
        guard = _guard(rest[0] if rest else None, feeds)
        held.append(Write(field, subkey, value, ref, dots_of, guard, len(rest) > 1))
    return frozenset(known), tuple(held)


def _packed_rest(write: Write, feeds: Mapping[bytes, int]) -> list[object]:
    """Return what only some writes have: a guard, and that they are settled."""
    guard = write.guard
    packed: list[object] = []
    if guard.stamp is not None:
        packed.append([guard.level, guard.stamp.pack(), feeds[guard.feed]])
    if write.settled:
        packed = [*(packed or [None]), True]
    return packed


def _guard(item: Sequence[Any] | None, feeds: Sequence[bytes]) -> Guard:
    if item is None:
        return UNGUARDED
    level, stamp, feed = item
    return Guard(level, Stamp.parse(stamp), feeds[feed])


def encode_deaths(deaths: Iterable[Death]) -> bytes | None:
    """Return what a record died of as canonical bytes, None for nothing."""
    listed = [
        [ref.stamp.pack(), ref.feed, ref.seq, ref.place, [list(dot) for dot in sorted(dots)]]
        for ref, dots in sorted(deaths, key=lambda death: death.ref)
    ]
    return pack(listed) if listed else None


def _decode_deaths(data: bytes | None) -> frozenset[Death]:
    listed = [] if data is None else msgpack.unpackb(data)
    return frozenset(
        Death(
            WriteRef(Stamp.parse(stamp), feed, seq, place),
            frozenset(Dot(*dot) for dot in dots),
        )
        for stamp, feed, seq, place, dots in listed
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
