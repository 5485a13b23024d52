"""The merge of shared records: dots decide life, registers decide values.

Theory. A record's life is an observed-remove set of dots (Bieniusa et al. 2012): create and
restore add one, delete takes the dots its author saw. A field is a last-writer-wins register
that hangs on the dots its author saw and dies with them, so a delete wins over edits that had not
seen it, and a record made again starts empty. Writes are ordered by (stamp, feed, seq, place in
the commit).

The state of a record is a join: for each living dot and register the greatest write. It depends on
the set of applied changes alone, given that each change comes after those its author saw.

=========  ==================================  =================================================
change     what happens                        what is lost
=========  ==================================  =================================================
create     its dot lives, writes hang on it    a concurrent value that loses
restore    as create                           as create
update     writes hang on the dots that live   values it had not seen; itself, if it is older or
                                               all its dots are dead
delete     its dots die with their writes      writes that it had not seen
=========  ==================================  =================================================

What is lost goes to a journal, until somebody knowingly overwrites it: `settled` names the
writes that are no open conflict any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from registry.changes import Dot, Form, SharedChange, WriteRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry.changes import FieldKey, FieldWrite, Value
    from registry.hlc import Stamp


class Write(NamedTuple):
    """A value in a register: where it was written, and the dots it hangs on."""

    field: str
    subkey: str | None
    value: Value
    ref: WriteRef
    dots: frozenset[Dot]

    @property
    def key(self) -> FieldKey:
        """Return the register this write belongs to."""
        return self.field, self.subkey


class Cause(Enum):
    """Why a value is not shown."""

    OVERWRITTEN = "overwritten"
    DELETED = "deleted"


class Loss(NamedTuple):
    """A write that lost against one its author had not seen."""

    write: Write
    winner: WriteRef
    cause: Cause


@dataclass(frozen=True, slots=True)
class RecordState:
    """All that is remembered of a record: its living dots and the writes that hang on them."""

    dots: frozenset[Dot] = frozenset()
    writes: tuple[Write, ...] = ()

    @property
    def alive(self) -> bool:
        """Return whether the record is there."""
        return bool(self.dots)

    def winners(self) -> dict[FieldKey, Write]:
        """Return the greatest living write of each register."""
        best: dict[FieldKey, Write] = {}
        for write in self.writes:
            held = best.get(write.key)
            if held is None or held.ref < write.ref:
                best[write.key] = write
        return best

    def on(self, key: FieldKey) -> tuple[Write, ...]:
        """Return every living write of one register: what a new write there replaces."""
        return tuple(write for write in self.writes if write.key == key)


class Merged(NamedTuple):
    """A record after a change, what the change cost, and the conflicts it settled."""

    state: RecordState
    losses: tuple[Loss, ...]
    settled: frozenset[WriteRef]


def merge(state: RecordState, change: SharedChange, dot: Dot, stamp: Stamp, place: int) -> Merged:
    """Return `state` after one change, the place-th of the commit at `dot` with `stamp`."""
    ref = WriteRef(stamp, dot.feed, dot.seq, place)
    if change.form is Form.DELETE:
        return _delete(state, change, ref)
    if change.form is Form.UPDATE:
        dots = state.dots.intersection(change.dots)
    else:
        dots = frozenset([dot])
        state = RecordState(state.dots | dots, state.writes)
    incoming = [Write(write.field, write.subkey, write.value, ref, dots) for write in change.writes]
    settled = frozenset(seen for asked in change.writes for seen in asked.over)
    if not dots:
        losses = tuple(Loss(write, ref, Cause.DELETED) for write in incoming)
        return Merged(state, losses, settled)
    before = state.winners()
    losses = tuple(
        loss
        for write, asked in zip(incoming, change.writes, strict=True)
        if (loss := _loss(before.get(write.key), write, asked)) is not None
    )
    return Merged(RecordState(state.dots, _keep((*state.writes, *incoming))), losses, settled)


def _loss(held: Write | None, write: Write, asked: FieldWrite) -> Loss | None:
    if held is None:
        return None
    if held.ref > write.ref:
        # Changes come in causal order: whoever wrote `held` had not seen what only arrives now.
        return Loss(write, held.ref, Cause.OVERWRITTEN)
    if held.ref in asked.over:
        return None
    return Loss(held, write.ref, Cause.OVERWRITTEN)


def _delete(state: RecordState, change: SharedChange, ref: WriteRef) -> Merged:
    alive = state.dots.difference(change.dots)
    kept: list[Write] = []
    losses: list[Loss] = []
    seen = frozenset(change.seen)
    for write in state.writes:
        if dots := write.dots & alive:
            kept.append(write._replace(dots=dots))
        elif write.ref not in seen:
            losses.append(Loss(write, ref, Cause.DELETED))
    left = RecordState(alive, _keep(kept))
    # A write that lost may be shown again, now that what hid it is gone: it is no loss any more.
    shown = {write.ref for write in left.winners().values()}
    return Merged(left, tuple(losses), seen | shown)


def _keep(writes: Iterable[Write]) -> tuple[Write, ...]:
    """Return the writes that are the greatest of their register on some dot, in canonical order.

    A write's dots are narrowed to those, so that the result does not tell how it came about.
    """
    best: dict[tuple[FieldKey, Dot], Write] = {}
    for write in writes:
        for dot in write.dots:
            held = best.get((write.key, dot))
            if held is None or held.ref < write.ref:
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
    for (name, subkey), write in sorted(state.winners().items(), key=_by_key):
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


def highest_overwritten(changes: Iterable[SharedChange]) -> Stamp | None:
    """Return the highest stamp that these changes replace, or None if they replace nothing."""
    stamps = [over.stamp for change in changes for write in change.writes for over in write.over]
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
