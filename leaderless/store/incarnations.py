"""Beginning a new lifetime of this device's own counters.

Who was restored, joined another library, or can no longer vouch for what it has signed goes on in a
new incarnation: everybody reads its rows whole, and nothing that was counted before is counted twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.store import meta, own_words
from registry.changes import Incarnation

if TYPE_CHECKING:
    from leaderless.store.transaction import Transaction


def begin_incarnation(transaction: Transaction, nonce: bytes, above: int = 0) -> Incarnation:
    """Go on in a new incarnation: its generation is above our own, and above `above`.

    The rows keep their uuids and revs: a new incarnation arrives everywhere as full state anyway.
    """
    connection = transaction.conn
    epoch = meta.get(connection, meta.OWN_EPOCH)
    held = connection.exec_driver_sql(
        "SELECT generation FROM incarnation WHERE id = ?", (epoch,)
    ).scalar_one()
    successor = Incarnation(max(held, above) + 1, nonce)
    connection.exec_driver_sql(
        "UPDATE incarnation SET generation = ?, nonce = ?, verified = -1, floor = 0,"
        " floor_word = NULL, base = 0 WHERE id = ?",
        (*successor, epoch),
    )
    own_words.forget(connection)
    transaction.facts_changed = True
    transaction.sign_anew()
    return successor
