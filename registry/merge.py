"""The merge of shared records: dots decide life, registers decide values.

Theory. A record's life is an observed-remove set of dots (Bieniusa et al. 2012): create, restore
and lock add one, delete takes the dots its author saw. A field is a last-writer-wins register
that hangs on the dots its author saw and dies with them, so a delete wins over edits that had not
seen it, and a record made again starts empty. Writes are ordered by (guard, stamp, feed, seq, place
in the commit); the guard counts the locks that their author had seen (`registry.changes.Guard`).

The state of a record is a join: for each living dot and register the greatest write. It depends on
the set of applied changes alone, given that each change comes after those its author saw. So does
what is lost: every change that is neither in effect nor named as seen by a later one.

=========  ==================================  =================================================
change     what happens                        what is lost
=========  ==================================  =================================================
create     its dot lives, writes hang on it    a concurrent value that loses
restore    as create                           as create; a delete that had not seen it
lock       as restore, with all values anew,   edits and deletes that had not seen it, whatever
           under the next guard                their stamps
update     writes hang on the dots that live   values it had not seen; itself, if it is older or
                                               all its dots are dead
delete     its dots die with their writes      writes that it had not seen
=========  ==================================  =================================================

What is lost goes to a journal, until it is seen or in effect again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from registry.changes import LOCK_FIELD, UNGUARDED, Dot, Form, Guard, SharedChange, WriteRef
from registry.errors import InvalidStampError
from registry.hlc import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

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


@dataclass(frozen=True, slots=True)
class RecordState:
    """All that is remembered of a record: its living dots and the writes that hang on them.

    `deaths` are deletes that no later change has named as seen.
    """

    dots: frozenset[Dot] = frozenset()
    writes: tuple[Write, ...] = ()
    deaths: frozenset[WriteRef] = frozenset()

    @property
    def alive(self) -> bool:
        """Return whether the record is there."""
        return bool(self.dots)

    @property
    def failed_deletes(self) -> frozenset[WriteRef]:
        """Return the deletes that did not take the record away."""
        return self.deaths if self.dots else frozenset()

    def winners(self) -> dict[FieldKey, Write]:
        """Return the greatest living write of each register."""
        best: dict[FieldKey, Write] = {}
        for write in self.writes:
            held = best.get(write.key)
            if held is None or held.order < write.order:
                best[write.key] = write
        return best

    def shown(self) -> dict[FieldKey, Write]:
        """Return the write in effect of each register: none that is below the last lock."""
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
        held = self.winners().get(_LOCK)
        return None if held is None or held.value is not True else held.ref.feed[:16]


def _floor(lock: Write | None) -> Guard:
    """Return the guard below which nothing is shown: that of the last lock."""
    if lock is None:
        return UNGUARDED
    match lock.value:
        case [int(level), bytes(stamp), bytes(feed)]:
            # Whatever its author wrote there, the commit is valid and has to apply.
            with suppress(InvalidStampError):
                return Guard(level, Stamp.parse(stamp), feed)
    return lock.guard


def _above(floor: Guard, best: Mapping[FieldKey, Write]) -> dict[FieldKey, Write]:
    least = floor.order
    return {key: write for key, write in best.items() if write.guard.order >= least}


class Merged(NamedTuple):
    """A record after a change, and what that does to the journal.

    `lost` are writes that went out of effect unseen; `found` are registers' writes, and `seen`
    whole changes, that are no loss any more.
    """

    state: RecordState
    lost: tuple[Write, ...]
    found: frozenset[tuple[FieldKey, WriteRef]]
    seen: frozenset[WriteRef]


def merge(state: RecordState, change: SharedChange, dot: Dot, stamp: Stamp, place: int) -> Merged:
    """Return `state` after one change, the place-th of the commit at `dot` with `stamp`."""
    ref = WriteRef(stamp, dot.feed, dot.seq, place)
    seen = frozenset(change.seen)
    incoming: list[Write] = []
    if change.form is Form.DELETE:
        after = _delete(state, change, ref)
    else:
        dots = frozenset([dot])
        if change.form is Form.UPDATE:
            dots = state.dots.intersection(change.dots)
        guard = change.guard
        if guard.level and guard.stamp is None:
            guard = Guard(guard.level, stamp, dot.feed)
        incoming = [
            Write(write.field, write.subkey, write.value, ref, dots, guard)
            for write in change.writes
        ]
        after = RecordState(state.dots | dots, _keep((*state.writes, *incoming)), state.deaths)
    after = RecordState(after.dots, after.writes, after.deaths - seen)
    before, shown = state.shown(), after.shown()
    in_effect = {(key, write.ref) for key, write in shown.items()}
    overwritten = {
        ((write.field, write.subkey), over) for write in change.writes for over in write.over
    }
    after = RecordState(after.dots, _settled(after.writes, overwritten, seen), after.deaths)
    lost = tuple(
        write
        for write in (*before.values(), *incoming)
        if (write.key, write.ref) not in in_effect | overwritten
        and write.ref not in seen
        and not write.settled
    )
    return Merged(after, lost, frozenset(in_effect | overwritten), seen)


def _delete(state: RecordState, change: SharedChange, ref: WriteRef) -> RecordState:
    alive = state.dots.difference(change.dots)
    kept = [
        write._replace(dots=dots)
        for write in state.writes
        if (dots := write.dots.intersection(alive))
    ]
    # Without dots it takes nothing away: it only says that somebody has seen what was lost.
    deaths = state.deaths | {ref} if change.dots else state.deaths
    return RecordState(alive, _keep(kept), deaths)


def _settled(
    writes: tuple[Write, ...],
    overwritten: AbstractSet[tuple[FieldKey, WriteRef]],
    seen: AbstractSet[WriteRef],
) -> tuple[Write, ...]:
    """Remember of the writes that are kept which of them somebody has seen."""
    return tuple(
        write._replace(settled=True)
        if write.ref in seen or (write.key, write.ref) in overwritten
        else write
        for write in writes
    )


def _keep(writes: Iterable[Write]) -> tuple[Write, ...]:
    """Return the writes that are the greatest of their register on some dot, in canonical order.

    A write's dots are narrowed to those, so that the result does not tell how it came about.
    """
    best: dict[tuple[FieldKey, Dot], Write] = {}
    for write in writes:
        for dot in write.dots:
            held = best.get((write.key, dot))
            if held is None or held.order < write.order:
                best[write.key, dot] = write
    dots: dict[tuple[FieldKey, WriteRef], set[Dot]] = {}
    for (key, dot), write in best.items():
        dots.setdefault((key, write.ref), set()).add(dot)
    unique = {(write.key, write.ref): write for write in best.values()}
    kept = [write._replace(dots=frozenset(dots[at])) for at, write in unique.items()]
    return tuple(sorted(kept, key=canonical_order))


def canonical_order(write: Write) -> tuple[str, bool, str, WriteRef]:
    """Return the sort key that every replica stores writes by."""
    return write.field, write.subkey is not None, write.subkey or "", write.ref


def visible_fields(state: RecordState) -> dict[str, Value]:
    """Return the shown value of every written field of a record.

    Registers with subkeys come as one dict per field, without the entries whose value is None.
    """
    fields: dict[str, Value] = {}
    for (name, subkey), write in sorted(state.shown().items(), key=_by_key):
        if name == LOCK_FIELD:
            continue
        if subkey is None:
            fields.setdefault(name, write.value)
            continue
        entries = fields.get(name)
        if not isinstance(entries, dict):
            entries = fields[name] = {}
        if write.value is not None:
            entries[subkey] = write.value
    return fields


def _by_key(item: tuple[FieldKey, Write]) -> tuple[str, bool, str]:
    (name, subkey), _ = item
    return name, subkey is not None, subkey or ""


def first_order(state: RecordState) -> WriteRef | None:
    """Return the least write in effect, None for a record without a value."""
    return min((write.ref for write in state.shown().values()), default=None)


def highest_seen(changes: Iterable[SharedChange]) -> Stamp | None:
    """Return the highest stamp that these changes have before them, or None for none at all."""
    stamps = [over.stamp for change in changes for write in change.writes for over in write.over]
    stamps += [ref.stamp for change in changes for ref in change.seen]
    return max(stamps, default=None)


def flat_fields(fields: Mapping[str, Value]) -> dict[FieldKey, Value]:
    """Return visible fields as single registers again, as a restore writes them."""
    flat: dict[FieldKey, Value] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat.update({(name, str(subkey)): entry for subkey, entry in value.items()})
        else:
            flat[name, None] = value
    return flat
