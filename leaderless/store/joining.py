"""Joining another library: what this device brings along, and what it leaves behind.

The joiner must be the only member of its own library, or a member of none, as a device that knows that
it was revoked. Its owned rows stay as they are (same owner, new incarnation), those of others go; its
shared records are made again in the joined library by import commits of a new feed, as commits are
signed for one library only. Who was revoked and joins the same library again takes the shared records
as the others have them now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.errors import NotPermittedError
from leaderless.protocol import hashing
from leaderless.protocol.records import decode_state
from leaderless.store import closing, meta, state
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.statements import take_statements
from leaderless.words import counted
from registry.changes import Create
from registry.state import set_registers

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.membership import Signed
    from leaderless.store.transaction import Transaction

# Emptied at a join; the joined library fills them anew.
OF_THE_OLD_LIBRARY = (
    "commit_log",
    "feed",
    "record",
    "reference",
    "journal",
    "confirmation",
    "owned_confirmation",
    "own_word",
    "given_back",
    "replaced",
    "revoked",
    "since_backup",
    "staged_position",
    "staged_record",
    "statement",
)
_FACTS_OF_THE_OLD_LIBRARY = (
    meta.CAME_BACK,
    meta.DISPUTED,
    meta.EVIDENCE,
    meta.GIVERS,
    meta.JOURNAL_DROPPED,
    meta.RENAMED,
    meta.RESTORING,
    meta.SINCE_BACKUP,
    meta.STAGING,
    meta.STATE_WANTED,
    meta.SUPERSEDED,
    meta.WENT_ON,
)


class EditsLeftError(NotPermittedError):
    """What was edited here would be gone, and nobody has said that it may be."""

    code = "edits_left"


def unheard(connection: Connection, own: bytes) -> int:
    """Return how many actions of the device `own` nobody else is known here to have heard of.

    Others may have more of them: they are told before they say so, and in between a connection can end.
    """
    found = connection.exec_driver_sql(
        "SELECT count(DISTINCT c.command_id) FROM feed f JOIN commit_log c ON c.feed = f.id"
        " WHERE substr(f.feed, 1, 16) = ?1 AND c.command <> ?2 AND c.seq > coalesce("
        "(SELECT max(k.received) FROM confirmation k WHERE k.feed = f.feed AND k.device <> ?1), 0)",
        (own, closing.COMMAND),
    )
    return int(found.scalar_one())


def check_leaves_nothing(connection: Connection, own: bytes) -> None:
    """Raise EditsLeftError where the library that revoked this device lacks some of its edits.

    These are not made there again: what they were about may be deleted there by now, by somebody who
    had seen them. Which library a code is of shows only when it was typed.
    """
    count = unheard(connection, own)
    if meta.get(connection, meta.REVOKED) is None or not count:
        return
    raise EditsLeftError(
        "this device was revoked, and as far as it knows nobody had heard of"
        f" {counted(count, 'action')} of it by then. The library that it was revoked from does not"
        " take what nobody had: if the code is of that one, this is gone here, too. If it is of"
        " another, nothing is: all comes along as it is now. Which of the two shows only with the"
        " joining, so it asks for both",
        hint="leaderless pair CODE --leave-edits joins either; leaderless history lists them before",
    )


def check_may_join(connection: Connection, members: int) -> None:
    """Raise NotPermittedError if this device shares its library, of so many members, with others."""
    if members > 1 and meta.get(connection, meta.REVOKED) is None:
        raise NotPermittedError(
            "this device shares its library with others; it cannot join another one",
            hint="run `leaderless pair` here and `leaderless pair CODE` on the new device",
        )


def join_library(
    transaction: Transaction,
    library: bytes,
    said: tuple[Signed, ...],
    nonce: bytes,
    since: int = 0,
) -> int:
    """Become part of `library`, from generation `since` on; return how many records came along."""
    connection = transaction.conn
    again = library == meta.get(connection, meta.LIBRARY)
    brought = [] if again else _shared_records(connection, transaction)
    for table in OF_THE_OLD_LIBRARY:
        connection.exec_driver_sql(f"DELETE FROM {table}")
    for model in reversed(transaction.registry.shared()):
        connection.exec_driver_sql(f"DELETE FROM {model.sync_name}")
    if not again:
        _leave_others(transaction)
    for fact in _FACTS_OF_THE_OLD_LIBRARY:
        meta.drop(connection, fact)
    meta.drop_all(connection, meta.ASIDE)
    meta.put(connection, meta.LIBRARY, library)
    meta.put(connection, meta.SHARED_HASH, hashing.EMPTY_SET)
    begin_incarnation(transaction, nonce, since - 1)
    take_statements(transaction, said)
    if brought:
        transaction.commit("library.import", brought)
    return len(brought)


def _leave_others(transaction: Transaction) -> None:
    """Drop the rows of other devices: they are of a library that this device is no member of."""
    connection = transaction.conn
    for copy in state.copies(connection):
        if copy.owner != transaction.own_device:
            state.forget(connection, transaction.registry, copy)
            connection.exec_driver_sql("DELETE FROM incarnation WHERE device = ?", (copy.owner,))
    for kind in meta.OF_COPIES:
        meta.drop_all(connection, kind)


def _shared_records(connection: Connection, transaction: Transaction) -> list[Create]:
    known = {model.sync_name for model in transaction.registry.shared()}
    creates = []
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, state FROM record WHERE state IS NOT NULL ORDER BY model, uuid"
    )
    for model, record, packed in rows:
        if model in known:
            creates.append(Create(model, record, set_registers(decode_state(packed))))
    return creates
