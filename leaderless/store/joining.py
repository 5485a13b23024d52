"""Joining another library: what this device brings along, and what it leaves behind.

The joiner must be the only member of its own library. Its owned rows stay as they are (same owner,
new incarnation); its shared records are made again in the joined library by import commits of a new
feed, as commits are signed for one library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.errors import NotPermittedError
from leaderless.protocol import hashing
from leaderless.protocol.records import decode_state
from leaderless.store import meta
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.statements import keep_statements
from registry.changes import Create
from registry.state import set_registers

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.protocol.membership import Signed
    from leaderless.store.transaction import Transaction

# Emptied at a join; the joined library fills them anew.
_OF_THE_OLD_LIBRARY = (
    "commit_log",
    "feed",
    "record",
    "reference",
    "journal",
    "confirmation",
    "owned_confirmation",
    "replaced",
    "statement",
)


def check_may_join(connection: Connection, members: int) -> None:
    """Raise NotPermittedError if this device shares its library with others already."""
    others = connection.exec_driver_sql(
        "SELECT count(*) FROM incarnation WHERE device <> ?",
        (meta.get(connection, meta.OWN_DEVICE),),
    ).scalar_one()
    if members > 1 or others:
        raise NotPermittedError(
            "this device shares its library with others; it cannot join another one",
            hint="run `leaderless pair` here and `leaderless pair CODE` on the new device",
        )


def join_library(
    transaction: Transaction,
    library: bytes,
    said: tuple[Signed, ...],
    membership: bytes,
    nonce: bytes,
) -> int:
    """Become part of `library`; return how many shared records came along."""
    connection = transaction.conn
    brought = _shared_records(connection, transaction)
    for table in _OF_THE_OLD_LIBRARY:
        connection.exec_driver_sql(f"DELETE FROM {table}")
    for model in reversed(transaction.registry.shared()):
        connection.exec_driver_sql(f"DELETE FROM {model.sync_name}")
    for fact in (meta.EVIDENCE, meta.JOURNAL_DROPPED, meta.STATE_WANTED):
        meta.drop(connection, fact)
    meta.put(connection, meta.LIBRARY, library)
    meta.put(connection, meta.SHARED_HASH, hashing.EMPTY_SET)
    meta.put(connection, meta.MEMBERSHIP, membership)
    keep_statements(connection, said, transaction.now_ms)
    begin_incarnation(transaction, nonce)
    if brought:
        transaction.commit("library.import", brought)
    return len(brought)


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
