"""Rows that somebody else than their owner brought: who had a part in what is not proved yet.

An owner's word covers a whole copy at one rev, so a lie shows only when the copy is complete. Until
then it is remembered who brought of it; once it shows:

================================================  =========================================
the copy was proved, and one batch made it wrong  the batch is taken back, its sender is named; the
                                                  next time the copy is dropped: it may be that the
                                                  sender lacks a deletion that it was never told of,
                                                  and only a whole copy from it can show that
one relay brought all of it (the owner the rest)  the copy is dropped, the relay is named
several did, or one did on top of a proved copy   the copy is dropped, all are suspects: from now
                                                  on each has to bring a whole copy by itself
no relay ever had a part, the copy was begun      the copy is dropped, once: a version that knew no
before this batch                                 floors may have missed deletions
no relay ever had a part                          it is the owner that contradicts itself
================================================  =========================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.store import meta, state
from registry.errors import NotOwnerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.messages import StateBatch
    from leaderless.store.state import Copy
    from registry.models import Registry

_ID_BYTES: Final = 16
_LOOKUP: Final = 500
TAKEN: Final = "it came with ids that are another device's"


class Parts(NamedTuple):
    """Who brought rows of an owner since its copy was proved last, and above which rev."""

    devices: tuple[bytes, ...]
    above: int
    suspected: bool
    """Whether what several brought was wrong once: each is believed by itself alone."""


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


def parts(connection: Connection, owner: bytes) -> Parts:
    """Return who had a part in an owner's unproved copy."""
    listed = meta.get(connection, meta.relayed(owner)) or b""
    devices = [listed[at : at + _ID_BYTES] for at in range(0, len(listed), _ID_BYTES)]
    above = meta.get(connection, meta.relayed_above(owner)) or 0
    return Parts(tuple(devices), above, bool(meta.get(connection, meta.suspected(owner))))


def merge(
    connection: Connection,
    registry: Registry,
    batch: StateBatch,
    said: Checkpoint | None,
    sender: bytes,
    floor: int = 0,
) -> Verdict:
    """Apply a batch of somebody's state that `sender` brought.

    `said` is its owner's verified word, `floor` the owner's verified floor, 0 for none. Raises what
    applying raises. The caller holds one transaction around it.
    """
    relay = None if sender == batch.owner else sender
    touched = meta.touched(batch.owner)
    before, had = state.copy_of(connection, batch.owner), parts(connection, batch.owner)
    brings = bool(batch.changes) or batch.hi > batch.lo
    mixes = relay is not None and had.suspected and {*had.devices} - {relay}
    if before is not None and brings and mixes:
        _drop(connection, registry, before)
        before, had = state.copy_of(connection, batch.owner), parts(connection, batch.owner)
    connection.exec_driver_sql("SAVEPOINT merging")
    (merged, used), displaced = apply_making_way(connection, registry, batch, said, floor)
    if merged.fault is not None and relay is not None and not had.devices and _is_proved(before):
        if _is_same(before, merged):
            return Verdict(used, merged.fault, displaced=displaced)
        connection.exec_driver_sql("ROLLBACK TO merging")
        misfit = _misfit(connection, registry, before or merged, relay, merged.fault)
        return misfit or Verdict(used, merged.fault, displaced=displaced)
    if relay is not None and used and brings:
        had = _took_part(connection, batch.owner, had, relay, before)
    if _is_proved(merged):
        _forget_parts(connection, batch.owner)
    elif merged.fault is not None and had.devices:
        return _drop_all(connection, registry, merged, had, merged.fault, displaced)
    elif merged.fault is not None and relay is None and (batch.lo or meta.get(connection, touched)):
        misfit = _misfit(connection, registry, merged, batch.owner, merged.fault)
        return misfit or Verdict(used, merged.fault, displaced=displaced)
    return Verdict(used, merged.fault, displaced=displaced)


def _is_proved(copy: Copy | None) -> bool:
    return copy is not None and copy.exact and 0 < copy.verified == copy.watermark


def _is_same(before: Copy | None, after: Copy) -> bool:
    """Return whether a batch brought nothing but another word of the owner on the same rows."""
    return before is not None and (before.watermark, before.set_hash) == (
        after.watermark,
        after.set_hash,
    )


def _took_part(
    connection: Connection, owner: bytes, had: Parts, relay: bytes, before: Copy | None
) -> Parts:
    devices = tuple(sorted({*had.devices, relay}))
    above = had.above if had.devices else 0 if before is None else before.watermark
    meta.put(connection, meta.relayed(owner), b"".join(devices))
    meta.put(connection, meta.touched(owner), 1)
    meta.put(connection, meta.relayed_above(owner), above)
    return Parts(devices, above, had.suspected)


def _forget_parts(connection: Connection, owner: bytes) -> None:
    for name in (
        meta.relayed(owner),
        meta.relayed_above(owner),
        meta.suspected(owner),
        meta.taken_back(owner),
    ):
        meta.drop(connection, name)


def _drop(connection: Connection, registry: Registry, copy: Copy) -> None:
    """Drop a copy, and who had a part in it; that it was wrong is remembered until one is proved."""
    state.forget(connection, registry, copy)
    about = (meta.relayed, meta.relayed_above, meta.touched)
    for name in about:
        meta.drop(connection, name(copy.owner))


def doubt(connection: Connection, registry: Registry, own_device: bytes) -> None:
    """Drop copies that are wrong and were not read anew for it yet.

    An earlier version left them as they were where no relay had a part.
    """
    for copy in state.copies(connection):
        known = meta.get(connection, meta.suspected(copy.owner))
        if copy.fault is not None and copy.owner != own_device and not known:
            _drop(connection, registry, copy)
            meta.put(connection, meta.suspected(copy.owner), 1)


def dispute(
    connection: Connection, registry: Registry, owner: bytes, sender: bytes, why: str
) -> Verdict | None:
    """Settle whose fault it is that a batch of `sender` cannot be applied, not even in part.

    None if it is its own: nobody else had a part in what it builds on.
    """
    copy, had = state.copy_of(connection, owner), parts(connection, owner)
    if copy is None or not (had.devices or meta.get(connection, meta.touched(owner))):
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
        _drop(connection, registry, copy)
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
    _drop(connection, registry, copy)
    alone = len(had.devices) == 1 and had.above == 0
    if not alone:
        meta.put(connection, meta.suspected(copy.owner), 1)
    return Verdict(False, why, had.devices, alone, displaced=displaced)


# --- ids that are another device's ----------------------------------------------------------------


def apply_making_way(
    connection: Connection,
    registry: Registry,
    batch: StateBatch,
    said: Checkpoint | None,
    floor: int,
) -> tuple[state.Merged, tuple[tuple[bytes, bytes], ...]]:
    """Apply a batch; unproved rows of other owners that stand in its way by their ids have to go.

    Return what `state.apply_batch` does, and (owner, relay) of the copies that went.
    """
    displaced: tuple[tuple[bytes, bytes], ...] = ()
    connection.exec_driver_sql("SAVEPOINT applying")
    try:
        merged = state.apply_batch(connection, registry, batch, said, floor)
    except NotOwnerError:
        connection.exec_driver_sql("ROLLBACK TO applying")
        displaced = tuple(_displace(connection, registry, batch))
        if not displaced:
            raise
        merged = state.apply_batch(connection, registry, batch, said, floor)
    # One transaction may apply thousands of batches: each open savepoint keeps pages as they were.
    connection.exec_driver_sql("RELEASE applying")
    return merged, displaced


def _displace(
    connection: Connection, registry: Registry, batch: StateBatch
) -> Iterator[tuple[bytes, bytes]]:
    """Drop the copies that hold ids of a batch, if a relay had a part in each; yield (owner, relay)."""
    epochs = set(_epochs_that_hold(connection, registry, batch))
    owners = {
        owner
        for epoch, owner in connection.exec_driver_sql("SELECT id, device FROM incarnation")
        if epoch in epochs and owner != batch.owner
    }
    holders = {owner: parts(connection, owner).devices for owner in sorted(owners)}
    if not all(holders.values()):
        return
    for owner, devices in holders.items():
        copy = state.copy_of(connection, owner)
        if copy is not None:
            _drop(connection, registry, copy)
            yield from ((owner, device) for device in devices)


def _epochs_that_hold(
    connection: Connection, registry: Registry, batch: StateBatch
) -> Iterator[int]:
    tables = [*(model.sync_name for model in registry.owned()), "tombstone", "opaque_row"]
    uuids = [
        uuid
        for change in batch.changes
        for uuid in (*(row[0] for row in change.rows), *(uuid for uuid, _ in change.removed))
    ]
    for at in range(0, len(uuids), _LOOKUP):
        some = tuple(uuids[at : at + _LOOKUP])
        listed = ", ".join("?" * len(some))
        for table in tables:
            query = f"SELECT DISTINCT epoch FROM {table} WHERE uuid IN ({listed})"  # noqa: S608 - ours
            yield from connection.exec_driver_sql(query, some).scalars()
