"""Hybrid logical clock: the stamp that orders writes, and the clock that makes stamps.

A stamp is a valid UUIDv7 (RFC 9562), so that its bytes compare as time::

    48 bits milliseconds | 4 bits version 7 | 12 bits counter, high part
    2 bits variant       | 14 bits counter, low part | 48 bits device tag

It orders and does nothing else: it is never a cursor (late arrivals have low stamps) and never
an identity. The clock follows Kulkarni et al. 2014 ("Logical Physical Clocks") with two bounds: a
stamp from the future pulls it at most `MAX_DRIFT_MS` past the wall, and a stamp of `CEILING_MS`
or more is no stamp at all. It is a value: `tick` and `observe` return the next clock, and
whoever keeps it makes it durable before the stamp leaves the machine.
"""

from __future__ import annotations

from typing import NamedTuple

from registry.errors import InvalidStampError

STAMP_BYTES = 16
CEILING_MS = 1 << 47
"""Stamps from here on (the year 6429) are invalid by their bytes, so that no peer can push the
clocks of others to where they could not rise any more."""
MAX_DRIFT_MS = 60_000
"""How far a stamp from elsewhere may pull our clock past our wall."""
MAX_COUNTER = (1 << 26) - 1
MAX_TAG = (1 << 48) - 1

_LOW_BITS = 14
_LOW_MASK = (1 << _LOW_BITS) - 1


class Stamp(NamedTuple):
    """A point in hybrid time; tuples compare as their packed bytes do."""

    ms: int
    counter: int
    tag: int

    def pack(self) -> bytes:
        """Return the 16 bytes of this stamp, a UUIDv7."""
        high = self.ms << 16 | 0x7000 | self.counter >> _LOW_BITS
        low = 0b10 << 62 | (self.counter & _LOW_MASK) << 48 | self.tag
        return (high << 64 | low).to_bytes(STAMP_BYTES, "big")

    @classmethod
    def parse(cls, data: bytes) -> Stamp:
        """Return the stamp in `data`; raises InvalidStampError unless it is one we could make."""
        if len(data) != STAMP_BYTES:
            raise InvalidStampError(f"a stamp has {STAMP_BYTES} bytes, not {len(data)}")
        number = int.from_bytes(data, "big")
        high, low = number >> 64, number & (1 << 64) - 1
        if high >> 12 & 0xF != 7 or low >> 62 != 0b10:
            raise InvalidStampError("a stamp is a UUIDv7; this is another kind of id")
        milliseconds = high >> 16
        if milliseconds >= CEILING_MS:
            raise InvalidStampError(f"a stamp of {milliseconds} ms is beyond the ceiling")
        counter = (high & 0xFFF) << _LOW_BITS | low >> 48 & _LOW_MASK
        return cls(milliseconds, counter, low & MAX_TAG)

    def successor(self, tag: int) -> Stamp:
        """Return the next stamp by `tag`: one up in the counter, carrying into milliseconds.

        Raises InvalidStampError at the ceiling.
        """
        if self.counter < MAX_COUNTER:
            return Stamp(self.ms, self.counter + 1, tag)
        if self.ms + 1 >= CEILING_MS:
            raise InvalidStampError("no stamp is left below the ceiling")
        return Stamp(self.ms + 1, 0, tag)


class Clock(NamedTuple):
    """The state of a device's clock: the highest (ms, counter) it made or observed."""

    ms: int = 0
    counter: int = 0

    def tick(self, wall_ms: int, tag: int) -> tuple[Clock, Stamp]:
        """Return the clock after one tick, and the stamp of that tick by `tag`.

        The stamp is above every earlier tick of this clock, wherever the wall went.
        """
        last = Stamp(self.ms, self.counter, 0)
        wall = Stamp(min(max(wall_ms, 0), CEILING_MS - 1), 0, tag)
        stamp = wall if wall[:2] > last[:2] else last.successor(tag)
        return Clock(stamp.ms, stamp.counter), stamp

    def observe(self, stamp: Stamp, wall_ms: int) -> Clock:
        """Return the clock after a stamp from elsewhere, pulled at most to the drift bound."""
        bound = wall_ms + MAX_DRIFT_MS
        seen = (stamp.ms, stamp.counter) if stamp.ms <= bound else (bound, 0)
        return Clock(*max(self[:2], seen))


def stamp_above(tick: Stamp, overwritten: Stamp | None) -> Stamp:
    """Return the stamp of a commit: its tick, or just above the highest it overwrites.

    So whoever has seen a value can always replace it, whatever any clock says.
    """
    if overwritten is None or tick[:2] > overwritten[:2]:
        return tick
    return overwritten.successor(tick.tag)


def is_from_future(stamp: Stamp, overwritten: Stamp | None, wall_ms: int) -> bool:
    """Return whether a stamp's author is to be named for a clock that runs ahead.

    It is when the stamp lies past our wall by more than the drift bound and exceeds all that its
    commit overwrote by more than that: one who only built on a future value is not to blame.
    """
    base = max(wall_ms, overwritten.ms if overwritten else 0)
    return stamp.ms > base + MAX_DRIFT_MS
