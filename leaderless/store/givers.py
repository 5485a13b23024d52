"""Who gave the state of the shared records that is here, and that most others hold another.

Nobody signs what forgotten commits had said, so a state that was given is its giver's word. Who is
to be asked instead, and when, is the session's business (protocol/majority.py); what replaces the
state is staged and taken like any other (store/staging.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.store import meta
from leaderless.store.discarding import discard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

_OUTVOTED: Final = 2
"""The value of STATE_WANTED where the records are whole, but not what most others hold."""


def givers(connection: Connection) -> frozenset[bytes]:
    """Return the devices whose word some of the shared records here are."""
    return frozenset(meta.devices(connection, meta.GIVERS))


def note(connection: Connection, devices: Iterable[bytes]) -> None:
    """Remember who gave the state that is here; nobody: it is made of what authors have signed."""
    meta.put_devices(connection, meta.GIVERS, devices)


def doubt(connection: Connection) -> bool:
    """Note that most others hold other records; return whether they are to be fetched for it.

    They are not where nobody gave them, or where the state is on its way already.
    """
    if not givers(connection) or meta.get(connection, meta.STATE_WANTED) is not None:
        return False
    discard(connection)
    meta.put(connection, meta.STATE_WANTED, _OUTVOTED)
    return True


def is_outvoted(connection: Connection) -> bool:
    """Return whether the records here are to be replaced because most others hold other ones."""
    wanted: int | None = meta.get(connection, meta.STATE_WANTED)
    return wanted == _OUTVOTED
