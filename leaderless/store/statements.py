"""Membership statements at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol.membership import Signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection


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
