"""Forgetting what was fetched of the shared records and has not taken effect.

How it comes to be staged is `store.staging`'s business; this stands apart from it, as the log has to
do it, too: where a feed forks, what is staged names commits by what they were called before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.store import meta

if TYPE_CHECKING:
    from sqlalchemy import Connection


def discard(connection: Connection) -> None:
    """Forget what is staged, if anything is."""
    connection.exec_driver_sql("DELETE FROM staged_record")
    connection.exec_driver_sql("DELETE FROM staged_position")
    meta.drop(connection, meta.STAGING)
