"""Which rows and records two replicas hold differently: range-based set reconciliation (Meyer 2023).

Both sides lay out all they hold by uuid. The asker names ranges of uuids; the answerer splits each
into parts and says what each part hashes to, or lists a short one item by item. The asker goes on
with the parts that hash to something else here. Each round divides a range by `FANOUT` (the first
by `FIRST_FANOUT`), so the rounds grow with the logarithm of what is held, and the traffic with the
number of differences. Only the asker remembers how far it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY_BYTES: Final = 16
DIGEST_BYTES: Final = 16
_ITEM_BYTES: Final = KEY_BYTES + DIGEST_BYTES

FIRST_FANOUT: Final = 256
FANOUT: Final = 16
LEAF: Final = 24
"""A range of so many items or fewer is listed."""
MAX_RANGES: Final = 64
"""In one message: 64 answers of 24 items of 60 bytes are 92 KB."""
MOST_FOUND: Final = 1_000
"""Differences after which it is pointless to name more."""

WHOLE: Final = (b"", b"")


class Range(NamedTuple):
    """The uuids from `lo` on and below `hi`; an empty `hi` is beyond all."""

    lo: bytes
    hi: bytes


def are_in_order(ranges: Sequence[Range]) -> bool:
    """Return whether ranges have something in them, and each begins where the one before is over."""
    ends = [b"", *(within.hi for within in ranges)]
    return all(
        lo <= within.lo and (not within.hi or within.lo < within.hi) and (lo or at == 0)
        for at, (lo, within) in enumerate(zip(ends, ranges, strict=False))
    )


class Part(NamedTuple):
    """What a part of a range hashes to: the part before it ends where this one begins."""

    hi: bytes
    fingerprint: bytes


class Listed(NamedTuple):
    """One item of a short range."""

    uuid: bytes
    digest: bytes
    model: str


class Answer(NamedTuple):
    """What is in a range: parts, or the items of a short one."""

    range: Range
    parts: tuple[Part, ...] = ()
    items: tuple[Listed, ...] = ()


class Difference(NamedTuple):
    """A row or record that is not the same on both sides; a digest is None where it is missing."""

    model: str
    uuid: bytes
    here: bytes | None
    there: bytes | None


class Inventory:
    """All that a replica holds, by uuid: 32 bytes of memory an item, and one for its model."""

    def __init__(self, items: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Lay out (model, uuid, bytes that are hashed)."""
        numbers: dict[str, int] = {}
        laid = [
            uuid
            + blake3(model.encode() + b"\0" + data).digest(length=DIGEST_BYTES)
            + numbers.setdefault(model, len(numbers)).to_bytes(2, "big")
            for model, uuid, data in items
        ]
        laid.sort()
        self._models = tuple(numbers)
        self._items = b"".join(item[:_ITEM_BYTES] for item in laid)
        self._numbers = b"".join(item[_ITEM_BYTES:] for item in laid)

    def __len__(self) -> int:
        return len(self._items) // _ITEM_BYTES

    def _key(self, at: int) -> bytes:
        return self._items[at * _ITEM_BYTES : at * _ITEM_BYTES + KEY_BYTES]

    def _span(self, within: Range) -> tuple[int, int]:
        count = len(self)
        first = bisect_left(range(count), within.lo, key=self._key)
        end = bisect_left(range(count), within.hi, key=self._key) if within.hi else count
        return first, max(first, end)

    def fingerprint(self, within: Range) -> bytes:
        """Return what the items of a range hash to."""
        first, end = self._span(within)
        return self._hash(first, end)

    def _hash(self, first: int, end: int) -> bytes:
        held = self._items[first * _ITEM_BYTES : end * _ITEM_BYTES]
        return blake3(held).digest(length=DIGEST_BYTES)

    def listed(self, within: Range) -> tuple[Listed, ...]:
        """Return the items of a range."""
        return tuple(self._each(*self._span(within)))

    def _each(self, first: int, end: int) -> Iterator[Listed]:
        for at in range(first, end):
            start = at * _ITEM_BYTES
            number = int.from_bytes(self._numbers[2 * at : 2 * at + 2], "big")
            yield Listed(
                self._key(at),
                self._items[start + KEY_BYTES : start + _ITEM_BYTES],
                self._models[number],
            )

    def answer(self, ranges: Sequence[Range]) -> tuple[Answer, ...]:
        """Return what is in each of these ranges."""
        fanout = FIRST_FANOUT if len(ranges) == 1 else FANOUT
        return tuple(self._answer(within, fanout) for within in ranges)

    def _answer(self, within: Range, fanout: int) -> Answer:
        first, end = self._span(within)
        # Items of one uuid stay in one part, as a range ends between uuids.
        cuts = [self._key(first + (end - first) * at // fanout) for at in range(1, fanout)]
        bounds = [bound for bound in dict.fromkeys(cuts) if bound > self._key(first)]
        if end - first <= LEAF or not bounds:
            return Answer(within, items=tuple(self._each(first, end)))
        parts = []
        lo = first
        for hi in (*bounds, within.hi):
            _, upto = self._span(Range(within.lo, hi))
            parts.append(Part(hi, self._hash(lo, upto)))
            lo = upto
        return Answer(within, parts=tuple(parts))


class Reconciliation:
    """The asker's side: what to ask next, and what was found to differ."""

    def __init__(self, own: Inventory) -> None:
        self._own = own
        self._waiting: deque[Range] = deque([Range(*WHOLE)])
        self._asked: tuple[Range, ...] = ()
        self.differences: list[Difference] = []
        self.rounds = 0

    @property
    def is_cut_short(self) -> bool:
        """Return whether there is more to find than is worth naming."""
        return bool(self._waiting) and len(self.differences) >= MOST_FOUND

    def ask(self) -> tuple[Range, ...]:
        """Return the ranges to ask for next, none when all is found."""
        if len(self.differences) >= MOST_FOUND:
            return ()
        count = min(len(self._waiting), MAX_RANGES)
        self._asked = tuple(sorted(self._waiting.popleft() for _ in range(count)))
        self.rounds += 1 if self._asked else 0
        return self._asked

    def heard(self, answers: Sequence[Answer]) -> None:
        """Take in the answers to what was asked last; raises ValueError if they are to no question."""
        if tuple(answer.range for answer in answers) != self._asked:
            raise ValueError("an answer is to another question")
        self._asked = ()
        for answer in answers:
            if answer.parts:
                self._hear_parts(answer)
            else:
                self._hear_items(answer)

    def _hear_parts(self, answer: Answer) -> None:
        lo = answer.range.lo
        if answer.parts[-1].hi != answer.range.hi or len(answer.parts) < 2:
            raise ValueError("the parts of a range do not make it up")
        for part in answer.parts:
            if part.hi and part.hi <= lo:
                raise ValueError("the parts of a range are not in order")
            within = Range(lo, part.hi)
            if self._own.fingerprint(within) != part.fingerprint:
                self._waiting.append(within)
            lo = part.hi

    def _hear_items(self, answer: Answer) -> None:
        lo, hi = answer.range
        uuids = [item.uuid for item in answer.items]
        if uuids != sorted(uuids) or (uuids and (uuids[0] < lo or (hi and uuids[-1] >= hi))):
            raise ValueError("the items of a range are not in it, or not in order")
        here = {(item.uuid, item.model): item.digest for item in self._own.listed(answer.range)}
        there = {(item.uuid, item.model): item.digest for item in answer.items}
        for uuid, model in sorted({*here, *there}):
            one, other = here.get((uuid, model)), there.get((uuid, model))
            if one != other:
                self.differences.append(Difference(model, uuid, one, other))
