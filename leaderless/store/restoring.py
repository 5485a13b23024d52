"""A device that was restored from a backup: peers hold what it has said, and does not remember.

Nobody is believed but this device itself: a peer that holds its signed word on rows which are not
these, or commits of its feed which are not here, shows that it went back in time. From then on it
writes nothing, as a counter that is used twice could never be told apart, and takes its rows back
from whoever has them (store/given_back.py), so uuids and what hangs on them survive. Once nobody who
can be reached knows more (protocol/returning.py decides) it goes on in a new incarnation, with the
best that it was given, and what it wrote alone on top (store/since_backup.py).

A later incarnation that it did not begin may be that of a life that has ended, or of another machine
that runs as it, and both would go on like this for ever. Who hears that it was admitted anew, and does
not remember that it joined, was put back to before that: what it began then was its own. A lost life
knows nothing of what this run of the program has done; so it was cloned if it has gone on itself in
this run, and is superseded by a higher generation, or if it is superseded twice within `CLONE_MS`. Then
it writes nothing until a person says which of the two it is; what the other one has told is taken back
even so.

::

    "" --our own word, not remembered--> restoring --nobody knows more--> "" (a new incarnation)
    "" --another machine began an incarnation--> cloned --`claim`--> restoring --> "" (a new one)
    "" --the database was replaced (store/repair.py)--> restoring --the same--> ""
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.errors import NotPermittedError, NotYetError
from leaderless.protocol import checkpoint
from leaderless.store import (
    came_back,
    closing,
    given_back,
    meta,
    own_words,
    repair,
    since_backup,
    starts,
)
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.state import copies, copy_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.messages import StateBatch
    from leaderless.store.since_backup import Regained
    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction
    from registry.changes import Incarnation

RESTORING, CLONED = "restoring", "cloned"
CLONE_MS: Final = 24 * 3_600 * 1_000
"""Clones that both run meet within seconds, and such that take turns within a day."""


class RestoringError(NotYetError):
    """A restored device has not got its own rows back yet: `waits` says what it waits for, if known.

    `missing` is what was looked for and may be among them.
    """

    code = "restoring"

    def __init__(self, waits: str = "", missing: str = "") -> None:
        why = "this device was restored from a backup and takes its own rows back from its peers"
        so_far = f"{missing}, as far as is known now" if missing else ""
        super().__init__(
            ": ".join(filter(None, (so_far, why, waits))),
            hint="leaderless status says how far it is; leaderless device claim goes on at once,"
            " without what they know",
        )


class ClonedError(NotPermittedError):
    """There is another machine that runs as this device."""

    code = "cloned"


class GoneOn(NamedTuple):
    """How a device went on: in which incarnation, and with what of the time since its backup."""

    incarnation: Incarnation
    regained: Regained


def life(connection: Connection) -> str:
    """Return "" for a device that writes, else why it does not: RESTORING or CLONED."""
    found = meta.known(connection, CLONED, RESTORING)
    return next((name for name in (CLONED, RESTORING) if name in found), "")


def check_may_write(connection: Connection) -> None:
    """Raise RestoringError or ClonedError where this device may write nothing of its own."""
    match life(connection):
        case "restoring":
            raise RestoringError
        case "cloned":
            raise ClonedError(
                "another machine runs as this device",
                hint="leaderless device claim, here and once the other one has stopped",
            )


def begin(transaction: Transaction, other: Incarnation | None = None) -> str:
    """Write nothing more, as others know what is not remembered here; return the life from now on.

    `other` is a later incarnation of this device than its own.
    """
    connection, now_ms = transaction.conn, transaction.now_ms
    now = life(connection)
    if now:
        return now
    cloned = other is not None and _is_anothers(transaction, other)
    if other is not None and not cloned:
        meta.put(connection, meta.SUPERSEDED, now_ms)
    meta.put(connection, meta.CLONED if cloned else meta.RESTORING, now_ms)
    return CLONED if cloned else RESTORING


def hear_of_admission(transaction: Transaction) -> bool:
    """Return whether this device begins to take its rows back, as it was admitted anew unknown to it.

    The incarnation in which it joined then is no other machine's, and its feeds of now are closed.
    """
    connection = transaction.conn
    own = copy_of(connection, transaction.own_device)
    if own is None or own.incarnation.generation >= _since(connection) or life(connection):
        return False
    return begin(transaction) == RESTORING


def _since(connection: Connection) -> int:
    """Return the generation from which on this device is a member, 0 if it always was."""
    return meta.get(connection, meta.READMITTED) or 0


def _is_anothers(transaction: Transaction, other: Incarnation) -> bool:
    """Return whether another machine has begun an incarnation, not a life of this one that is lost."""
    connection = transaction.conn
    own = copy_of(connection, transaction.own_device)
    # Of the same generation it may be of a time that knew nothing of ours.
    is_above = own is not None and other.generation > own.incarnation.generation
    names = (meta.WENT_ON, meta.SUPERSEDED) if is_above else (meta.SUPERSEDED,)
    times = (meta.get(connection, name) for name in names)
    return any(at is not None and transaction.now_ms - at < CLONE_MS for at in times)


def begin_run(transaction: Transaction) -> None:
    """The program starts: that it went on was in an earlier run, of this file or one before it."""
    if meta.get(transaction.conn, meta.WENT_ON) is not None:
        meta.drop(transaction.conn, meta.WENT_ON)


def is_news(connection: Connection, own: Copy, said: Checkpoint) -> bool:
    """Return whether a word that this device has signed is of rows that it does not remember."""
    if said.incarnation != own.incarnation:
        return said.incarnation > own.incarnation
    return said.rev > own.watermark or own_words.has_forgotten(connection, said)


def hear(transaction: Transaction, said: Checkpoint, record: bytes, held: int) -> bool:
    """Hear a word of this device from a peer; return whether the rows it speaks of are to be taken.

    `record` is the word as it was signed; the peer holds our rows up to the rev `held`. What is known
    here, or is behind what was taken, is not.
    """
    connection = transaction.conn
    own = copy_of(connection, transaction.own_device)
    if own is None or life(connection) == CLONED:
        return False
    if disputed(connection) == said:
        return True
    if not is_news(connection, own, said):
        return False
    if said.incarnation.generation > _heard(connection):
        meta.put(connection, meta.HEARD_GENERATION, said.incarnation.generation)
    other = said.incarnation if said.incarnation > own.incarnation else None
    if begin(transaction, other) == CLONED:
        return False
    if (said.incarnation, said.rev) <= (own.incarnation, own.watermark):
        # One such word at a time: who has others knows more than what was taken then, or less. Who
        # has heard the word alone cannot give its rows; who can says so itself.
        lacks = held < said.rev
        if lacks or disputed(connection) or _is_known_beyond(connection, own, said.rev):
            return False
        meta.put(connection, meta.DISPUTED, record)
    return True


def _is_known_beyond(connection: Connection, own: Copy, rev: int) -> bool:
    """Return whether another member has said that it holds what was written here since.

    Then two lives of this device were told of, and the longer one is kept. Who says that it holds more
    than was written is not told of this life, or lies.
    """
    return bool(
        connection.exec_driver_sql(
            "SELECT count(*) FROM owned_confirmation"
            " WHERE generation = ? AND nonce = ? AND watermark > ? AND watermark <= ?",
            (*own.incarnation, rev, own.watermark),
        ).scalar_one()
    )


def disputed(connection: Connection) -> Checkpoint | None:
    """Return our word on a rev up to ours that is of other rows than these, and was not taken yet."""
    record = meta.get(connection, meta.DISPUTED)
    return None if record is None else checkpoint.decode(record)


def _heard(connection: Connection) -> int:
    """Return the highest generation of ours that a peer has told us of."""
    return meta.get(connection, meta.HEARD_GENERATION) or 0


def take_back(
    transaction: Transaction, batch: StateBatch, sender: bytes
) -> tuple[bool, given_back.Taken | None]:
    """Put rows of ours aside that `sender` gives back, and take them once they are all here.

    Return whether the batch goes on from what is there, and what was taken if that is whole now: of
    who has our word alone nothing is. Raises what `given_back.take` does; the transaction has to fail
    as a whole then.
    """
    if not batch.head:
        return False, None  # else it would take the place of what somebody else gives
    held = given_back.keep(transaction.conn, batch, sender)
    if held is None or not held.whole:
        return held is not None, None
    taken = given_back.take(transaction)
    meta.drop(transaction.conn, meta.DISPUTED)
    return True, taken


def after_replacement(transaction: Transaction) -> None:
    """Have a device whose database was replaced wait for what others know of it, if there are any."""
    connection = transaction.conn
    replaced = repair.to_leave(connection)
    if replaced is None or meta.get(connection, meta.RESTORING) is not None:
        return
    others = connection.exec_driver_sql("SELECT count(*) > 1 FROM statement").scalar_one()
    meta.put(connection, meta.RESTORING, replaced.at_ms)
    if not others:
        go_on_as_restored(transaction, b"")


def go_on_as_restored(transaction: Transaction, nonce: bytes) -> GoneOn | None:
    """Go on in a new incarnation with what is here; None if the device is not restoring.

    `nonce` names the incarnation, unless one was chosen when the database was replaced.
    """
    connection = transaction.conn
    if life(connection) != RESTORING:
        return None
    replaced = repair.to_leave(connection)
    if replaced is None:
        meta.put(connection, meta.WENT_ON, transaction.now_ms)
    begun = _begin(transaction, nonce if replaced is None else bytes.fromhex(replaced.nonce))
    if replaced is None:
        regained = begun.regained
        came_back.went_on(transaction, regained.kept + regained.joined, regained.left)
    return begun


def claim(transaction: Transaction, nonce: bytes) -> GoneOn | None:
    """Have this machine be the device, by a person's word.

    One that was cloned takes back what the other machine has told first: None. Any other goes on in
    a new incarnation as it is now, whatever others know of it: one whose peers will never come back.
    """
    connection = transaction.conn
    for name in (meta.WENT_ON, meta.SUPERSEDED):
        meta.drop(connection, name)
    if life(connection) != CLONED:
        return _begin(transaction, nonce, 1)
    meta.drop(connection, meta.CLONED)
    meta.put(connection, meta.RESTORING, transaction.now_ms)
    came_back.claimed(transaction)
    own = copy_of(connection, transaction.own_device)
    if own is not None:
        # What the other one has begun since was told to nobody who told this one.
        above = max(_heard(connection), own.incarnation.generation) + 1
        meta.put(connection, meta.HEARD_GENERATION, above)
    return None


def _begin(transaction: Transaction, nonce: bytes, skipped: int = 0) -> GoneOn:
    """Begin an incarnation above all that are known, and those that a damaged file had used."""
    connection = transaction.conn
    for name in (meta.RESTORING, meta.CLONED, meta.DISPUTED):
        meta.drop(connection, name)
    given_back.discard(connection)
    own = [copy for copy in copies(connection) if copy.owner == transaction.own_device]
    known = max((copy.incarnation.generation for copy in own), default=0)
    known = max(known, _heard(connection), _since(connection) - 1)
    replaced = repair.to_leave(connection)
    used = 0 if replaced is None else replaced.above
    begun = begin_incarnation(transaction, nonce, max(known + skipped, used))
    repair.left(transaction)
    starts.forget(connection)
    regained = since_backup.write_again(transaction)
    closing.close_pending(transaction)
    closing.name_own(transaction)
    return GoneOn(begun, regained)
