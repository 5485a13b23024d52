"""A device that was restored from a backup: peers hold newer positions of it than it remembers.

It takes its own rows back from them, so uuids and what hangs on them survive, and goes on in a new
incarnation; until then it writes nothing, as a counter that is used twice could never be told apart.
Nobody is believed before a batch carries this device's own signature. A device that has to do so
twice within `CLONE_MS` was cloned: another machine runs as it, and both would go on like this for
ever. So it stops writing until a person says which of the two it is.

::

    "" --newer own rows, signed--> restoring --whole and proved--> "" (a new incarnation)
    "" --the same again within a day--> cloned --`claim`--> "" (a new incarnation)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.errors import NotPermittedError
from leaderless.store import closing, meta
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.state import copies, copy_of, forget

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction
    from registry.changes import Incarnation

RESTORING, CLONED = "restoring", "cloned"
CLONE_MS: Final = 24 * 3_600 * 1_000
"""Nobody restores a device twice a day, and clones that both run meet within seconds."""


class RestoringError(NotPermittedError):
    """A restored device has not got its own rows back yet."""

    code = "restoring"


class ClonedError(NotPermittedError):
    """There is another machine that runs as this device."""

    code = "cloned"


def life(connection: Connection) -> str:
    """Return "" for a device that writes, else why it does not: RESTORING or CLONED."""
    for name in (CLONED, RESTORING):
        if meta.get(connection, name) is not None:
            return name
    return ""


def check_may_write(connection: Connection) -> None:
    """Raise RestoringError or ClonedError where this device may write nothing of its own."""
    match life(connection):
        case "restoring":
            raise RestoringError(
                "this device was restored from a backup and takes back what its peers know of it",
                hint="leaderless status says how far it is",
            )
        case "cloned":
            raise ClonedError(
                "another machine runs as this device",
                hint="stop the other one, then `leaderless device claim` here",
            )


def begin(transaction: Transaction, copy: Copy) -> bool:
    """Drop our own rows, to take them back from a peer; False if this device was cloned instead.

    The caller has seen our own signature below newer rows of ours.
    """
    connection, now_ms = transaction.conn, transaction.now_ms
    last = meta.get(connection, meta.RESTORED)
    if last is not None and now_ms - last < CLONE_MS:
        meta.put(connection, meta.CLONED, now_ms)
        return False
    meta.put(connection, meta.RESTORING, now_ms)
    forget(connection, transaction.registry, copy)
    return True


def finish(transaction: Transaction, nonce: bytes) -> Incarnation | None:
    """Go on in a new incarnation if our own rows are whole and what we had signed; else None."""
    connection = transaction.conn
    copy = copy_of(connection, transaction.own_device)
    if copy is None or not copy.exact or copy.verified != copy.watermark:
        return None
    meta.drop(connection, meta.RESTORING)
    meta.put(connection, meta.RESTORED, transaction.now_ms)
    # The rows may have come in a later incarnation than the one that was remembered here.
    meta.put(connection, meta.OWN_EPOCH, copy.epoch)
    begun = begin_incarnation(transaction, nonce, copy.incarnation.generation)
    closing.close_pending(transaction)
    return begun


def go_on(transaction: Transaction, nonce: bytes) -> Incarnation:
    """Go on in a new incarnation as this device is now, whatever others know of it.

    For a device that is not to be the clone, and for one whose peers will never come back.
    """
    connection = transaction.conn
    known = [copy for copy in copies(connection) if copy.owner == transaction.own_device]
    for name in (meta.RESTORING, meta.CLONED, meta.RESTORED):
        meta.drop(connection, name)
    generations = [copy.incarnation.generation for copy in known]
    begun = begin_incarnation(transaction, nonce, max(generations, default=0) + 1)
    closing.close_pending(transaction)
    return begun
