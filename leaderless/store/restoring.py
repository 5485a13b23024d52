"""A device that was restored from a backup: peers hold newer positions of it than it remembers.

It takes its own rows back from them, so uuids and what hangs on them survive, and goes on in a new
incarnation; until then it writes nothing, as a counter that is used twice could never be told apart.
Nobody is believed before a batch carries this device's own signature. A device that has to do so
twice within `CLONE_MS` was cloned: another machine runs as it, and both would go on like this for
ever. So it stops writing until a person says which of the two it is.

::

    "" --newer own rows, signed--> restoring --whole and proved--> "" (a new incarnation)
    "" --the same again within a day--> cloned --`claim`--> "" (a new incarnation)
    "" --the database was replaced--> restoring --nobody knows more--> "" (a new incarnation)

Whose database was replaced by a snapshot (store/repair.py) knows by itself that it went back in time:
it writes nothing from the start, so its rows need not be dropped, and takes back those that it lacks.
How long it waits for somebody who has them is decided elsewhere: daemon/after_replacement.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.errors import NotPermittedError
from leaderless.store import closing, meta, relayed, repair
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.state import copies, copy_of, put_copy

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction
    from registry.changes import Incarnation

RESTORING, CLONED = "restoring", "cloned"
ADMITTED_ANEW: Final = (
    "leaderless pair CODE, with the code that `leaderless pair` shows on a member, admits it anew"
)
CLONE_MS: Final = 24 * 3_600 * 1_000
"""Nobody restores a device twice a day, and clones that both run meet within seconds."""


class RestoringError(NotPermittedError):
    """A restored device has not got its own rows back yet."""

    code = "restoring"


class ClonedError(NotPermittedError):
    """There is another machine that runs as this device."""

    code = "cloned"


class RevokedError(NotPermittedError):
    """A device that is no member any more has nobody to tell what it writes."""

    code = "revoked"


def check_may_share(connection: Connection) -> None:
    """Raise RevokedError where nothing that this device says can ever reach anybody."""
    if meta.get(connection, meta.REVOKED) is not None:
        raise RevokedError(
            "this device was revoked: no edit made here reaches anybody",
            hint=ADMITTED_ANEW,
        )


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
    relayed.begin_anew(connection, transaction.registry, copy)
    return True


def dispute(transaction: Transaction, sender: bytes, why: str) -> relayed.Verdict | None:
    """Settle whose fault it is that own rows which `sender` gives back cannot be applied.

    Those that others gave back before may be what they do not fit: then all are dropped, and taken
    back anew. None if it is the sender's own, or nothing is taken back.
    """
    connection, own = transaction.conn, transaction.own_device
    held = copy_of(connection, own)
    if held is None or life(connection) != RESTORING:
        return None
    verdict = relayed.dispute(connection, transaction.registry, own, sender, why)
    hold_out(transaction, held.incarnation, held.as_of)
    return verdict


def hold_out(transaction: Transaction, incarnation: Incarnation, rev: int) -> None:
    """Have a device that takes its rows back take no less than it was told of, by its own word.

    What was dropped because somebody had lied is as far away as before.
    """
    copy = copy_of(transaction.conn, transaction.own_device)
    if copy is not None and copy.incarnation == incarnation and copy.as_of < rev:
        put_copy(transaction.conn, copy._replace(as_of=rev))


def after_replacement(transaction: Transaction) -> None:
    """Have a device whose database was replaced wait for what others know of it, if there are any."""
    connection = transaction.conn
    replaced = repair.to_leave(connection)
    if replaced is None or meta.get(connection, meta.RESTORING) is not None:
        return
    others = connection.exec_driver_sql("SELECT count(*) > 1 FROM statement").scalar_one()
    meta.put(connection, meta.RESTORING, replaced.at_ms)
    if not others:
        go_on_as_replaced(transaction)


def waits(connection: Connection) -> bool:
    """Return whether a replaced device waits for others, and could go on as it is.

    It could not while it has only half of what somebody has begun to give it back.
    """
    replaced = repair.to_leave(connection)
    copy = copy_of(connection, meta.get(connection, meta.OWN_DEVICE))
    since = meta.get(connection, meta.RESTORING)
    return replaced is not None and since == replaced.at_ms and copy is not None and copy.exact


def go_on_as_replaced(transaction: Transaction) -> Incarnation | None:
    """Go on in a new incarnation, if the device still `waits`: nobody knows more of it."""
    replaced = repair.to_leave(transaction.conn)
    if replaced is None or not waits(transaction.conn):
        return None
    meta.drop(transaction.conn, meta.RESTORING)
    return _begin(transaction, bytes.fromhex(replaced.nonce))


def finish(transaction: Transaction, nonce: bytes) -> Incarnation | None:
    """Go on in a new incarnation if our own rows are whole and what we had signed; else None."""
    connection = transaction.conn
    copy = copy_of(connection, transaction.own_device)
    # Nothing is whole and proved, too: that is where it begins, and begins anew.
    if copy is None or not copy.exact or not 0 < copy.watermark == copy.verified:
        return None
    meta.drop(connection, meta.RESTORING)
    if repair.to_leave(connection) is None:
        meta.put(connection, meta.RESTORED, transaction.now_ms)
    # The rows may have come in a later incarnation than the one that was remembered here.
    meta.put(connection, meta.OWN_EPOCH, copy.epoch)
    return _begin(transaction, nonce, copy.incarnation.generation)


def go_on(transaction: Transaction, nonce: bytes) -> Incarnation:
    """Go on in a new incarnation as this device is now, whatever others know of it.

    For a device that is not to be the clone, and for one whose peers will never come back.
    """
    connection = transaction.conn
    known = [copy for copy in copies(connection) if copy.owner == transaction.own_device]
    for name in (meta.RESTORING, meta.CLONED, meta.RESTORED):
        meta.drop(connection, name)
    generations = [copy.incarnation.generation for copy in known]
    return _begin(transaction, nonce, max(generations, default=0) + 1)


def _begin(transaction: Transaction, nonce: bytes, above: int = 0) -> Incarnation:
    """Begin an incarnation above this generation, and those that a damaged file had used."""
    replaced = repair.to_leave(transaction.conn)
    used = 0 if replaced is None else replaced.above
    begun = begin_incarnation(transaction, nonce, max(above, used))
    repair.left(transaction)
    closing.close_pending(transaction)
    return begun
