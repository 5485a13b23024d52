"""The merge once more, naively: from the set of all changes at once, without an order of arrival.

Nothing here shares code with `registry.merge`. A record is looked at as a whole: which creates no
delete has named, which writes hang on one of those, which of them is the greatest, what stands
below a lock. What is neither in effect nor named by any change is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from leaderless.protocol.packing import pack
from registry.changes import (
    LOCK_FIELD,
    UNSET,
    Dot,
    FieldKey,
    Form,
    SharedChange,
    WriteRef,
)
from registry.hlc import Stamp

Key = tuple[str, bytes]


class Told(NamedTuple):
    """A change and where it stands in the log."""

    change: SharedChange
    ref: WriteRef

    @property
    def dot(self) -> Dot:
        """Return the position of its commit."""
        return Dot(self.ref.feed, self.ref.seq)


class Loss(NamedTuple):
    """What the journal is to hold: a value that lost (as MessagePack), or a delete in vain.

    The field of a delete is empty.
    """

    model: str
    record: bytes
    field: str
    subkey: str | None
    value: bytes
    loser: WriteRef


class Written(NamedTuple):
    """A write to a register whose dots are alive or not, as they may be."""

    ref: WriteRef
    value: Any
    guard: tuple[int, int, bytes]
    dots: frozenset[Dot]

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what is greater for the one that wins."""
        return self.guard, self.ref.stamp, self.ref.feed, self.ref.seq, self.ref.place


@dataclass
class Outcome:
    """What is to be of a record: None as its fields if it is not alive."""

    fields: dict[FieldKey, Any] | None = None
    refs: dict[FieldKey, WriteRef] = field(default_factory=dict)
    losses: frozenset[Loss] = frozenset()
    recalled: dict[FieldKey, Any] = field(default_factory=dict)

    @property
    def first(self) -> WriteRef | None:
        """Return the least write in effect."""
        return min(self.refs.values(), default=None)


def replay(told: Iterable[Told]) -> dict[Key, Outcome]:
    """Return what becomes of every record that these changes are about."""
    of: dict[Key, list[Told]] = defaultdict(list)
    for item in told:
        of[item.change.model, bytes(item.change.record)].append(item)
    return {key: _outcome(key, items) for key, items in of.items()}


def _outcome(key: Key, told: list[Told]) -> Outcome:
    made = {item.dot for item in told if item.change.form in (Form.CREATE, Form.RESTORE)}
    named = {dot for item in told if item.change.form is Form.DELETE for dot in item.change.dots}
    alive = made - named
    registers = _registers(told)
    effect = _in_effect(registers, alive)
    known = {ref for item in told for ref in item.change.seen}
    recalled = _in_effect(registers, _recalled(told, known))
    losses = [
        Loss(*key, *register, pack(write.value), write.ref)
        for register, writes in registers.items()
        for write in writes
        if effect.get(register) is not write
        and write.ref not in known
        and not _replaced(told, register, write.ref)
    ]
    losses += [
        Loss(*key, "", None, pack(None), item.ref)
        for item in told
        if alive and item.change.form is Form.DELETE and item.change.dots and item.ref not in known
    ]
    return Outcome(
        _values(effect) if alive else None,
        {at: write.ref for at, write in effect.items()},
        frozenset(losses),
        _values(recalled),
    )


def _in_effect(
    registers: dict[FieldKey, list[Written]], alive: set[Dot]
) -> dict[FieldKey, Written]:
    """Return the write of each register that is shown, if these dots are the ones alive."""
    winners = {
        register: max(living, key=lambda write: write.order)
        for register, writes in registers.items()
        if (living := [write for write in writes if write.dots & alive])
    }
    floor = _floor(winners)
    return {at: write for at, write in winners.items() if write.guard >= floor}


def _recalled(told: list[Told], known: set[WriteRef]) -> set[Dot]:
    """Return the dots that only deletes took away which nobody has named."""
    gone: dict[bool, set[Dot]] = {True: set(), False: set()}
    for item in told:
        if item.change.form is Form.DELETE:
            gone[item.ref in known].update(item.change.dots)
    return gone[False] - gone[True]


def _values(effect: dict[FieldKey, Written]) -> dict[FieldKey, Any]:
    return {
        at: write.value
        for at, write in effect.items()
        if at[0] != LOCK_FIELD and write.value is not UNSET
    }


def _registers(told: list[Told]) -> dict[FieldKey, list[Written]]:
    """Return every write that was ever made, by register."""
    registers: dict[FieldKey, list[Written]] = defaultdict(list)
    for item in told:
        for write in item.change.writes if item.change.form is not Form.DISMISS else ():
            own = item.change.form is not Form.UPDATE
            dots = frozenset([item.dot] if own else item.change.dots)
            made = Written(item.ref, write.value, _guard(item), dots)
            registers[write.field, write.subkey].append(made)
    return registers


def _guard(item: Told) -> tuple[int, int, bytes]:
    """Return how many locks an author had seen and which was the last: the earlier is the greater."""
    guard = item.change.guard
    if guard.level == 0:
        return _comparable(guard.level, None, b"")
    if guard.stamp is None:
        return _comparable(guard.level, item.ref.stamp, item.ref.feed)
    return _comparable(guard.level, guard.stamp, guard.feed)


def _comparable(level: int, stamp: Stamp | None, feed: bytes) -> tuple[int, int, bytes]:
    since = 0 if stamp is None else int.from_bytes(stamp.pack(), "big")
    return level, -since, feed


def _floor(winners: dict[FieldKey, Written]) -> tuple[int, int, bytes]:
    """Return below what nothing is in effect: the lock, or what a lock was that was taken off."""
    lock = winners.get((LOCK_FIELD, None))
    if lock is None:
        return _comparable(0, None, b"")
    if isinstance(lock.value, list):
        level, stamp, feed = lock.value
        return min(_comparable(level, Stamp.parse(stamp), feed), lock.guard)
    return lock.guard


def _replaced(told: list[Told], register: FieldKey, ref: WriteRef) -> bool:
    """Return whether somebody who had a write before his eyes wrote something in its place."""
    return any(
        (write.field, write.subkey) == register and ref in write.over
        for item in told
        for write in item.change.writes
    )
