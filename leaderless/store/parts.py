"""Who had a part in a copy that is not proved yet, and the end of one that is wrong.

What follows from that, and whose fault it is, is decided in store/relayed.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from leaderless.store import aside, meta, state

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.models import Registry


class Parts(NamedTuple):
    """Who brought rows of an owner since its copy was proved last, and above which rev."""

    devices: tuple[bytes, ...]
    above: int
    suspected: bool
    """Whether what several brought was wrong once: each is believed by itself alone."""
    stays: bool = False
    """Whether a proved copy stays until another one is whole and proved."""


def parts(connection: Connection, owner: bytes) -> Parts:
    """Return who had a part in an owner's unproved copy."""
    above = meta.get(connection, meta.relayed_above(owner)) or 0
    suspected = meta.get(connection, meta.suspected(owner))
    devices = meta.devices(connection, meta.relayed(owner))
    return Parts(devices, above, bool(suspected), suspected == meta.STAYS)


def is_proved(copy: Copy | None) -> TypeGuard[Copy]:
    """Return whether a copy is all that there is, and what its owner signed."""
    return copy is not None and copy.exact and 0 < copy.verified == copy.watermark


def took_part(
    connection: Connection, owner: bytes, had: Parts, relay: bytes, before: Copy | None
) -> Parts:
    """Remember that a relay brought rows on top of the copy that was there before; return all."""
    devices = tuple(sorted({*had.devices, relay}))
    above = had.above if had.devices else 0 if before is None else before.watermark
    meta.put_devices(connection, meta.relayed(owner), devices)
    meta.put(connection, meta.touched(owner), 1)
    meta.put(connection, meta.relayed_above(owner), above)
    return Parts(devices, above, had.suspected)


def forget_parts(connection: Connection, owner: bytes) -> None:
    """Forget who had a part in a copy that is proved now, and what is kept aside of it."""
    for name in (
        meta.relayed(owner),
        meta.relayed_above(owner),
        meta.suspected(owner),
        meta.taken_back(owner),
    ):
        meta.drop(connection, name)
    aside.discard(connection, owner)


def drop(connection: Connection, registry: Registry, copy: Copy) -> None:
    """Drop a copy, and who had a part in it; that it was wrong is remembered until one is proved."""
    state.forget(connection, registry, copy)
    aside.discard(connection, copy.owner)
    about = (meta.relayed, meta.relayed_above, meta.touched)
    for name in about:
        meta.drop(connection, name(copy.owner))
