"""Rows that somebody else than their owner brought: who had a part in what is not proved yet.

An owner's word covers a whole copy at one rev, so a lie shows only when the copy is complete. Until
then it is remembered who brought of it; once it shows:

================================================  =========================================
the copy was proved, and what one relay brought   that is taken back, its sender is named; the
on top made it wrong                              next time all is asked for again: it may be that the
                                                  sender lacks a deletion that it was never told of,
                                                  and only a whole copy from it can show that. Until
                                                  one is whole and proved, the copy here stays
one relay brought all of it (the owner the rest)  the copy is dropped, the relay is named
several did, or one brought more than can wait    the copy is dropped, all are suspects: from now
(`MOST_AHEAD`) on top of a proved copy            on each has to bring a whole copy by itself
no relay ever had a part, the copy was begun      the copy is dropped, once: a version that knew no
before this batch                                 floors may have missed deletions
no relay ever had a part                          it is the owner that contradicts itself
================================================  =========================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.store import aside, meta, state
from leaderless.store.displacing import apply_all, apply_making_way, apply_strictly
from leaderless.store.parts import Parts, drop, forget_parts, is_proved, parts, took_part

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.messages import StateBatch
    from leaderless.store.state import Copy
    from registry.models import Registry

TAKEN: Final = "it came with ids that are another device's"
MOST_AHEAD: Final = 20_000
"""Revs that a relay may bring on top of a proved copy, in several batches, before they take effect: at
once, when the owner's word covers them. Who brings more than that can be cut off in the middle, so
it takes effect batch by batch."""


class Brought(NamedTuple):
    """A batch of somebody's state, who brought it, and what its owner says of it, verified."""

    batch: StateBatch
    sender: bytes
    said: Checkpoint | None
    floor: int = 0
    """The owner's floor, 0 for none."""

    @property
    def relay(self) -> bytes | None:
        """Return who brought it, None for the owner itself."""
        return None if self.sender == self.batch.owner else self.sender

    @property
    def brings(self) -> bool:
        """Return whether it brings anything but words."""
        return bool(self.batch.changes) or self.batch.hi > self.batch.lo


class _Applied(NamedTuple):
    """The copy after a batch, whether that was used, and (owner, relay) of copies that made way."""

    copy: Copy
    used: bool
    displaced: tuple[tuple[bytes, bytes], ...]


class Verdict(NamedTuple):
    """What a batch did, and whose fault it is if the copy is not what its owner signed."""

    used: bool
    fault: str | None = None
    named: tuple[bytes, ...] = ()
    """The relays that had a part; none if it is the owner's own fault."""
    is_certain: bool = False
    """Whether the one that is named did it, whatever others did."""
    is_taken_back: bool = False
    """Whether all is as it was before the batch."""
    displaced: tuple[tuple[bytes, bytes], ...] = ()
    """(owner, relay) of unproved copies that held ids which are another device's."""


def merge(
    connection: Connection, registry: Registry, brought: Brought, *, makes_way: bool = True
) -> Verdict:
    """Apply a batch of somebody's state.

    Raises what applying raises; NotOwnerError for ids of another device too, unless its rows make way.
    The caller holds one transaction around it.
    """
    batch, relay = brought.batch, brought.relay
    before, had = state.copy_of(connection, batch.owner), parts(connection, batch.owner)
    if before is not None:
        apart = _apart(connection, registry, before, had, brought)
        if apart is not None:
            return apart
    mixes = relay is not None and had.suspected and {*had.devices} - {relay}
    if before is not None and brought.brings and mixes:
        drop(connection, registry, before)
        before, had = state.copy_of(connection, batch.owner), parts(connection, batch.owner)
    if is_proved(before):
        # Only then is anything to be rolled back: each page that changes is kept twice meanwhile.
        connection.exec_driver_sql("SAVEPOINT merging")
    apply = apply_making_way if makes_way else apply_strictly
    merged, displaced = apply(connection, registry, batch, brought.said, brought.floor)
    return _judged(connection, registry, brought, before, had, _Applied(*merged, displaced))


def _judged(
    connection: Connection,
    registry: Registry,
    brought: Brought,
    before: Copy | None,
    had: Parts,
    done: _Applied,
) -> Verdict:
    """Return what came of a batch that was applied to the copy `before`, in which some had a part."""
    owner, relay, why = brought.batch.owner, brought.relay, done.copy.fault
    verdict = Verdict(done.used, why, displaced=done.displaced)
    if why is not None and relay is not None and not had.devices and is_proved(before):
        if _is_same(before, done.copy):
            return verdict
        connection.exec_driver_sql("ROLLBACK TO merging")
        return _misfit(connection, registry, before, relay, why) or Verdict(False, why)
    if relay is not None and done.used and brought.brings:
        had = took_part(connection, owner, had, relay, before)
    if is_proved(done.copy):
        forget_parts(connection, owner)
    elif why is not None and had.devices:
        return _drop_all(connection, registry, done.copy, had, why, done.displaced)
    elif why is not None and relay is None and _may_be_wrong_here(connection, brought.batch):
        copy = done.copy
        if is_proved(before):
            connection.exec_driver_sql("ROLLBACK TO merging")
            copy, verdict = before, Verdict(False, why)
        return _misfit(connection, registry, copy, owner, why) or verdict
    return verdict


def _may_be_wrong_here(connection: Connection, batch: StateBatch) -> bool:
    """Return whether what an owner's word is not of may be what was here before its batch."""
    return bool(batch.lo or meta.get(connection, meta.touched(batch.owner)))


def _apart(
    connection: Connection, registry: Registry, before: Copy, had: Parts, brought: Brought
) -> Verdict | None:
    """Return what came of a batch that does not go into the copy that is here, None if it is to."""
    if had.stays and not brought.batch.introduction:
        return _beside(connection, registry, before, brought)
    is_alone = brought.relay is not None and not had.devices
    if is_alone and is_proved(before) and _is_part(connection, before, brought):
        return _on_top(connection, registry, before, brought)
    if _is_of_another_life(before, brought):
        drop(connection, registry, before)
        return Verdict(used=False)
    return None


def _is_of_another_life(copy: Copy, brought: Brought) -> bool:
    """Return whether a copy, whose rest nobody has who was asked, is not what its owner signed there.

    What was promised with it was of a life that is lost: it never comes, and these rows stand in the
    way of those that are signed.
    """
    batch, said = brought.batch, brought.said
    if said is None or copy.exact or batch.changes or copy.incarnation != batch.incarnation:
        return False
    if not said.rev == batch.lo == batch.as_of == copy.watermark > 0:
        return False
    return (said.row_count, said.set_hash) != (copy.row_count, copy.set_hash)


def _is_same(before: Copy | None, after: Copy) -> bool:
    """Return whether a batch brought nothing but another word of the owner on the same rows."""
    return before is not None and (before.watermark, before.set_hash) == (
        after.watermark,
        after.set_hash,
    )


def doubt(connection: Connection, registry: Registry, own_device: bytes) -> None:
    """Drop copies that are wrong and were not read anew for it yet.

    An earlier version left them as they were where no relay had a part.
    """
    for copy in state.copies(connection):
        known = meta.get(connection, meta.suspected(copy.owner))
        if copy.fault is not None and copy.owner != own_device and not known:
            drop(connection, registry, copy)
            meta.put(connection, meta.suspected(copy.owner), 1)


def dispute(
    connection: Connection, registry: Registry, owner: bytes, sender: bytes, why: str
) -> Verdict | None:
    """Settle whose fault it is that a batch of `sender` cannot be applied, not even in part.

    None if it is its own: nobody else had a part in what it builds on. What was proved here may be of
    another life of its owner than what a relay holds of it: only a whole copy from that can show it.
    """
    copy, had = state.copy_of(connection, owner), parts(connection, owner)
    if copy is not None and had.stays:
        return _differs(connection, registry, copy, sender, why)
    aside.discard(connection, owner)
    is_doubtful = bool(meta.get(connection, meta.touched(owner))) or sender != owner
    if copy is None or not (had.devices or (is_doubtful and is_proved(copy))):
        return None
    if not had.devices:
        return _misfit(connection, registry, copy, sender, why)
    named = had.devices if sender == owner else tuple(sorted({*had.devices, sender}))
    return _drop_all(connection, registry, copy, Parts(named, had.above, had.suspected), why)


def _misfit(
    connection: Connection, registry: Registry, copy: Copy, sender: bytes, why: str
) -> Verdict | None:
    """Settle what is to be done where something does not fit a copy that was proved.

    No word covers deletions: one that a relay invented long ago may be what it does not fit.
    """
    owner = copy.owner
    if sender == owner and meta.get(connection, meta.suspected(owner)):
        return None
    if sender == owner or meta.get(connection, meta.taken_back(owner)) == sender:
        if is_proved(copy):
            meta.put(connection, meta.suspected(owner), meta.STAYS)
        else:
            drop(connection, registry, copy)
            meta.put(connection, meta.suspected(owner), 1)
        return Verdict(False, why, () if sender == owner else (sender,))
    meta.put(connection, meta.taken_back(owner), sender)
    return Verdict(False, why, (sender,), is_taken_back=True)


def _drop_all(
    connection: Connection,
    registry: Registry,
    copy: Copy,
    had: Parts,
    why: str,
    displaced: tuple[tuple[bytes, bytes], ...] = (),
) -> Verdict:
    """Drop what relays had a part in; one that brought all of it is to blame, several are suspects."""
    drop(connection, registry, copy)
    alone = len(had.devices) == 1 and had.above == 0
    if not alone:
        meta.put(connection, meta.suspected(copy.owner), 1)
    return Verdict(False, why, had.devices, alone, displaced=displaced)


# --- what comes on top of a proved copy -----------------------------------------------------------


def _is_part(connection: Connection, copy: Copy, brought: Brought) -> bool:
    """Return whether a batch is one of several that lead to a rev that its owner's word covers."""
    batch, said = brought.batch, brought.said
    if batch.introduction or batch.incarnation != copy.incarnation:
        return False
    is_covered = said is not None and said.rev == batch.head == batch.as_of
    if brought.floor > copy.watermark or not is_covered:
        return False
    if not copy.watermark < batch.as_of <= copy.watermark + MOST_AHEAD:
        return False
    return batch.hi < batch.as_of or (
        batch.lo > copy.watermark and aside.given(connection, batch.owner) is not None
    )


def _on_top(connection: Connection, registry: Registry, copy: Copy, brought: Brought) -> Verdict:
    """Put a batch aside; all that came take effect together, if that is what their owner signed."""
    batch, sender = brought.batch, brought.sender
    owner = batch.owner
    held = aside.keep(connection, batch, sender, copy.watermark)
    if held is None or not held.whole:
        return Verdict(used=held is not None)
    connection.exec_driver_sql("SAVEPOINT taking")
    displaced = apply_all(connection, registry, aside.batches(connection, owner))
    taken = state.copy_of(connection, owner)
    if not is_proved(taken):
        connection.exec_driver_sql("ROLLBACK TO taking")
        aside.discard(connection, owner)
        why = (
            None if taken is None else taken.fault
        ) or "it does not lead to what its owner signed"
        return _misfit(connection, registry, copy, sender, why) or Verdict(False, why, (sender,))
    connection.exec_driver_sql("RELEASE taking")
    meta.put(connection, meta.touched(owner), 1)
    forget_parts(connection, owner)
    return Verdict(True, displaced=displaced)


# --- a whole copy beside one that was proved ------------------------------------------------------


def _beside(connection: Connection, registry: Registry, copy: Copy, brought: Brought) -> Verdict:
    """Put a batch aside; what is whole then, and is what its owner signed, takes the place of all."""
    batch, sender, said = brought.batch, brought.sender, brought.said
    owner = batch.owner
    # Who has less than is here, or may have missed what was deleted up to a floor, has no better one.
    least = (copy.incarnation, max(copy.watermark, copy.floor))
    if (batch.incarnation, batch.head) < least:
        return Verdict(used=False)
    held = aside.keep(connection, batch, sender)
    is_covered = held is not None and held.whole and said is not None and said.rev == held.reached
    if not is_covered:
        return Verdict(used=held is not None)
    connection.exec_driver_sql("SAVEPOINT taking")
    state.forget(connection, registry, copy)
    displaced = apply_all(connection, registry, aside.batches(connection, owner))
    taken = state.copy_of(connection, owner)
    if not is_proved(taken) and sender != owner:
        connection.exec_driver_sql("ROLLBACK TO taking")
        return _differs(connection, registry, copy, sender, "a whole copy is not what it signed")
    connection.exec_driver_sql("RELEASE taking")
    if sender != owner:
        meta.put(connection, meta.touched(owner), 1)
    fault = None if taken is None else taken.fault
    forget_parts(connection, owner)
    if fault is not None:
        # It is the owner that contradicts itself: asking it once more would bring the same.
        meta.put(connection, meta.suspected(owner), 1)
    return Verdict(True, fault, displaced=displaced)


def _differs(
    connection: Connection, registry: Registry, copy: Copy, sender: bytes, why: str
) -> Verdict:
    """Settle what is to be done where a whole copy is not what its owner has signed.

    Who brought it did so alone. Of the owner it is read once more without a copy that stays: if what
    it says cannot be applied to nothing, that is its own fault.
    """
    owner = copy.owner
    if sender != owner:
        aside.discard(connection, owner)
        return Verdict(False, why, (sender,), is_certain=True)
    drop(connection, registry, copy)
    meta.put(connection, meta.suspected(owner), 1)
    return Verdict(False, why)
