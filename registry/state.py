"""What is remembered of a shared record: its dots, the writes that hang on them, what it died of.

No rule of the merge lives here (`registry.merge`), only what can be read from a state.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from registry.changes import LOCK_FIELD, UNGUARDED, UNSET, Dot, Guard, WriteRef
from registry.errors import InvalidStampError
from registry.hlc import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry.changes import FieldKey, Value

_LOCK: FieldKey = (LOCK_FIELD, None)


class Write(NamedTuple):
    """A value in a register: where it was written, the dots it hangs on, the lock it knew of.

    It is `settled` once a later change has named it as seen: that it is out of effect, now or when
    what hides it has gone and come again, is no loss any more.
    """

    field: str
    subkey: str | None
    value: Value
    ref: WriteRef
    dots: frozenset[Dot]
    guard: Guard = UNGUARDED
    settled: bool = False

    @property
    def key(self) -> FieldKey:
        """Return the register this write belongs to."""
        return self.field, self.subkey

    @property
    def order(self) -> tuple[tuple[int, int, bytes], WriteRef]:
        """Return what writes to one register are compared by."""
        return self.guard.order, self.ref


class Death(NamedTuple):
    """A delete that no later change has named as seen, and the dots whose writes a restore recalls."""

    ref: WriteRef
    dots: frozenset[Dot]


@dataclass(frozen=True, slots=True)
class RecordState:
    """All that is remembered of a record: its living dots and the writes that hang on them.

    `remains` are the writes that hung on the dots of its `deaths`: what a restore brings back. Both
    are empty again when somebody has restored the record, or made it anew.
    """

    dots: frozenset[Dot] = frozenset()
    writes: tuple[Write, ...] = ()
    deaths: frozenset[Death] = frozenset()
    remains: tuple[Write, ...] = ()

    @property
    def alive(self) -> bool:
        """Return whether the record is there."""
        return bool(self.dots)

    @property
    def died_of(self) -> frozenset[WriteRef]:
        """Return the deletes that no later change has named as seen."""
        return frozenset(death.ref for death in self.deaths)

    @property
    def failed_deletes(self) -> frozenset[WriteRef]:
        """Return the deletes that did not take the record away."""
        return self.died_of if self.dots else frozenset()

    @property
    def remembered(self) -> RecordState:
        """Return the record as it would be if none of its deaths had been."""
        dots = frozenset(dot for death in self.deaths for dot in death.dots)
        return RecordState(dots, self.remains)

    def winners(self) -> dict[FieldKey, Write]:
        """Return the greatest living write of each register."""
        best: dict[FieldKey, Write] = {}
        for write in self.writes:
            key = (write.field, write.subkey)
            held = best.get(key)
            if held is None or held.order < write.order:
                best[key] = write
        return best

    def shown(self) -> dict[FieldKey, Write]:
        """Return the write in effect of each register: none that is below the last lock.

        A write of UNSET is among them: a register that shows nothing, knowingly.
        """
        best = self.winners()
        floor = _floor(best.get(_LOCK))
        return best if floor.level == 0 else _above(floor, best)

    @property
    def guard(self) -> Guard:
        """Return the guard that an edit of today is written under.

        That of the last lock, or of what its author had before it where that is greater: an edit
        may have known a lock that is gone by now, and whoever sees it can replace it.
        """
        held = [write.guard for write in self.writes]
        return max(held, key=lambda guard: guard.order, default=UNGUARDED)

    @property
    def floor(self) -> Guard:
        """Return the guard below which nothing is shown: that of the last lock."""
        return _floor(self.winners().get(_LOCK))

    @property
    def locked_by(self) -> bytes | None:
        """Return the device that holds the record locked, or None."""
        if not any(write.field == LOCK_FIELD for write in self.writes):
            return None
        held = self.winners().get(_LOCK)
        return None if held is None or held.value is not True else held.ref.feed[:16]


NOTHING = RecordState()
"""The state of a record of which nothing is known."""


def _floor(lock: Write | None) -> Guard:
    """Return the guard below which nothing is shown: that of the last lock."""
    if lock is None:
        return UNGUARDED
    match lock.value:
        case [int(level), bytes(stamp), bytes(feed)]:
            # Whatever its author wrote there, the commit is valid and has to apply.
            with suppress(InvalidStampError):
                below = Guard(level, Stamp.parse(stamp), feed)
                # An unlock names the guard of the lock that it takes off: one before its own.
                return min(below, lock.guard, key=lambda guard: guard.order)
    return lock.guard


def _above(floor: Guard, best: Mapping[FieldKey, Write]) -> dict[FieldKey, Write]:
    least = floor.order
    return {key: write for key, write in best.items() if write.guard.order >= least}


def greatest(writes: Iterable[Write]) -> tuple[Write, ...]:
    """Return the writes that are the greatest of their register on some dot, in canonical order.

    A write's dots are narrowed to those, so that the result does not tell how it came about.
    """
    best: dict[tuple[FieldKey, Dot], Write] = {}
    for write in writes:
        key = (write.field, write.subkey)
        for dot in write.dots:
            held = best.get((key, dot))
            if held is None or held.order < write.order:
                best[key, dot] = write
    dots: dict[tuple[FieldKey, WriteRef], set[Dot]] = {}
    for (key, dot), write in best.items():
        dots.setdefault((key, write.ref), set()).add(dot)
    unique = {(write.key, write.ref): write for write in best.values()}
    # Most are the greatest on all of their dots: they stay as they are.
    kept = [
        write if write.dots == dots[at] else write._replace(dots=frozenset(dots[at]))
        for at, write in unique.items()
    ]
    return tuple(sorted(kept, key=canonical_order))


def canonical_order(write: Write) -> tuple[str, bool, str, WriteRef]:
    """Return the sort key that every replica stores writes by."""
    return write.field, write.subkey is not None, write.subkey or "", write.ref


def visible_fields(state: RecordState, keyed: Mapping[str, bool] | None = None) -> dict[str, Value]:
    """Return the shown value of every field of a record that is set.

    Registers with subkeys come as one dict per field, without the entries whose value is None.
    `keyed` says of the fields that are known whether they have subkeys: registers that do not fit
    are passed over. Of others, entries stand in place of a value that was written whole.
    """
    fields: dict[str, Value] = {}
    entries: dict[str, dict[str, Value]] = {}
    for (name, subkey), write in sorted(state.shown().items(), key=_by_key):
        fits = keyed is None or keyed.get(name, subkey is not None) == (subkey is not None)
        if name == LOCK_FIELD or write.value is UNSET or not fits:
            continue
        if subkey is None:
            fields[name] = write.value
        else:
            held = entries.setdefault(name, {})
            if write.value is not None:
                held[subkey] = write.value
    return {**fields, **entries}


def last_fields(state: RecordState) -> dict[str, Value]:
    """Return what a record shows, or if it is deleted, what a restore would bring back."""
    return visible_fields(state if state.alive else state.remembered)


def _by_key(item: tuple[FieldKey, Write]) -> tuple[str, bool, str]:
    (name, subkey), _ = item
    return name, subkey is not None, subkey or ""


def first_order(state: RecordState) -> WriteRef | None:
    """Return the least write in effect, None for a record without a value."""
    return min((write.ref for write in state.shown().values()), default=None)


def set_registers(state: RecordState) -> dict[str | tuple[str, str], Value]:
    """Return the value of every register of a record that is set, as an edit names them.

    Entries of a map whose value is None are among them: they may hide what lies below.
    """
    return {
        name if subkey is None else (name, subkey): write.value
        for (name, subkey), write in state.shown().items()
        if name != LOCK_FIELD and write.value is not UNSET
    }
