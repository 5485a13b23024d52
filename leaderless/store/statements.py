"""Membership statements at rest, and what follows here from a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.identity import certificate_key
from leaderless.protocol.membership import Signed, membership_of
from leaderless.store import closing, meta, restoring

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.protocol.membership import Membership
    from leaderless.store.transaction import Transaction


def statements(connection: Connection) -> tuple[Signed, ...]:
    """Return every statement that is kept here, whether it counts or not."""
    found = connection.exec_driver_sql("SELECT body, signature FROM statement ORDER BY hash")
    return tuple(Signed(body, signature) for body, signature in found)


def keep_statements(connection: Connection, items: Iterable[Signed], now_ms: int) -> int:
    """Keep statements whose signatures were verified; return how many were new."""
    new = 0
    for signed in items:
        result = connection.exec_driver_sql(
            "INSERT INTO statement (hash, body, signature, received_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (hash) DO NOTHING",
            (signed.hash, signed.body, signed.signature, now_ms),
        )
        new += result.rowcount
    return new


def take_statements(transaction: Transaction, items: Iterable[Signed]) -> Membership:
    """Keep statements whose signatures were verified, and do what follows; return the membership.

    Feeds of devices that are revoked by them are closed, and what was applied of these is said. A
    device that was admitted anew unknown to it takes its rows back.
    """
    connection = transaction.conn
    keep_statements(connection, items, transaction.now_ms)
    library = meta.get(connection, meta.LIBRARY)
    members = membership_of(library, statements(connection), certificate_key)
    meta.put(connection, meta.MEMBERSHIP, members.digest)
    closing.learn(transaction, members)
    restoring.hear_of_admission(transaction)
    return members
