"""The merge of shared records: dots decide life, registers decide values.

Theory. A record's life is an observed-remove set of dots (Bieniusa et al. 2012): create, restore
and lock add one, delete takes the dots its author saw. A field is a last-writer-wins register
that hangs on the dots its author saw and dies with them, so a delete wins over edits that had not
seen it, and a record made again starts empty. Writes are ordered by (guard, stamp, feed, seq, place
in the commit); the guard counts the locks that their author had seen (`registry.changes.Guard`).

The state of a record is a join: for each living dot and register the greatest write. It depends on
the set of applied changes alone, given that each change comes after those its author saw. So does
what is lost: every change that is neither in effect nor named as seen by a later one. So does what
a restore brings back: the greatest writes on the dots of the deletes that nobody has named yet.

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
dismiss    nothing                             nothing: what it names is seen; so does a delete
                                               without dots, which names whole changes
=========  ==================================  =================================================

What is lost goes to a journal, until it is seen or in effect again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from registry.changes import LOCK_FIELD, Form, Guard, WriteRef
from registry.state import NOTHING, Death, RecordState, Write, canonical_order, greatest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from registry.changes import Dot, FieldKey, SharedChange
    from registry.hlc import Stamp

_MAKING = frozenset([Form.CREATE, Form.RESTORE])


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
    if state == NOTHING and _is_first(change):
        return _first(change, dot, ref)
    seen = frozenset(change.seen)
    incoming: tuple[Write, ...] = ()
    after = state
    if change.form is Form.DELETE and change.dots:
        after = _deleted(state, change, ref)
    elif change.form not in (Form.DELETE, Form.DISMISS):
        incoming = _incoming(state, change, ref, dot)
        after = _written(state, change, dot, incoming)
    if seen and after.deaths:
        after = _forgetting(after, seen)
    before, shown = state.shown(), after.shown()
    in_effect = {(key, write.ref) for key, write in shown.items()}
    named = {((write.field, write.subkey), over) for write in change.writes for over in write.over}
    after = _settling(after, named, seen)
    lost = tuple(
        write
        for write in (*before.values(), *incoming)
        if (write.key, write.ref) not in in_effect | named
        and write.ref not in seen
        and not write.settled
    )
    return Merged(after, lost, frozenset(in_effect | named), seen)


def _is_first(change: SharedChange) -> bool:
    """Return whether a change makes a record of which its author had seen nothing before."""
    if change.form not in _MAKING or change.seen or change.guard.level:
        return False
    return not any(write.over or write.field == LOCK_FIELD for write in change.writes)


def _first(change: SharedChange, dot: Dot, ref: WriteRef) -> Merged:
    """Return what such a change makes of nothing, as the general way would: most are of this kind."""
    dots = frozenset([dot])
    writes = [Write(write.field, write.subkey, write.value, ref, dots) for write in change.writes]
    state = RecordState(dots, tuple(sorted(writes, key=canonical_order)))
    return Merged(state, (), frozenset((write.key, ref) for write in writes), frozenset())


def _incoming(
    state: RecordState, change: SharedChange, ref: WriteRef, dot: Dot
) -> tuple[Write, ...]:
    """Return what a change writes, on the dots that live."""
    made = change.form in _MAKING
    dots = frozenset([dot]) if made else state.dots.intersection(change.dots)
    guard = change.guard
    if guard.level and guard.stamp is None:
        guard = Guard(guard.level, ref.stamp, dot.feed)
    return tuple(
        Write(write.field, write.subkey, write.value, ref, dots, guard) for write in change.writes
    )


def _written(
    state: RecordState, change: SharedChange, dot: Dot, incoming: tuple[Write, ...]
) -> RecordState:
    dots, remains = state.dots, state.remains
    if change.form in _MAKING:
        dots = dots | {dot}
    elif state.deaths:
        # What hits dead dots is lost now, but a restore brings back what was last written there.
        dead = state.remembered.dots.intersection(change.dots)
        remains = greatest((*remains, *(write._replace(dots=dead) for write in incoming)))
    return RecordState(dots, greatest((*state.writes, *incoming)), state.deaths, remains)


def _deleted(state: RecordState, change: SharedChange, ref: WriteRef) -> RecordState:
    alive = state.dots.difference(change.dots)
    killed = state.dots - alive
    dead = state.remembered.dots.intersection(change.dots) | killed
    fallen = (write._replace(dots=write.dots & killed, settled=False) for write in state.writes)
    return RecordState(
        alive,
        greatest(write._replace(dots=write.dots & alive) for write in state.writes),
        state.deaths | {Death(ref, dead)},
        greatest((*state.remains, *fallen)),
    )


def _forgetting(state: RecordState, seen: AbstractSet[WriteRef]) -> RecordState:
    """Return a state without the deaths that were named, and without what is said of their dots.

    That another delete names those dots, too, is no reason to keep it: whether that one was heard
    of before or after is not to be told from the result.
    """
    named = [death for death in state.deaths if death.ref in seen]
    gone = frozenset(dot for death in named for dot in death.dots)
    deaths = frozenset(
        death._replace(dots=death.dots - gone) for death in state.deaths if death.ref not in seen
    )
    remains = greatest(write._replace(dots=write.dots - gone) for write in state.remains)
    return RecordState(state.dots, state.writes, deaths, remains)


def _settling(
    state: RecordState,
    named: AbstractSet[tuple[FieldKey, WriteRef]],
    seen: AbstractSet[WriteRef],
) -> RecordState:
    """Remember of the writes that are kept which of them somebody has seen."""
    if not named and not seen:
        return state
    writes = tuple(
        write._replace(settled=True)
        if not write.settled and (write.ref in seen or (write.key, write.ref) in named)
        else write
        for write in state.writes
    )
    return RecordState(state.dots, writes, state.deaths, state.remains)


def highest_seen(changes: Iterable[SharedChange]) -> Stamp | None:
    """Return the highest stamp that these changes have before them, or None for none at all."""
    stamps = [over.stamp for change in changes for write in change.writes for over in write.over]
    stamps += [ref.stamp for change in changes for ref in change.seen]
    return max(stamps, default=None)
