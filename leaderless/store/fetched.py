"""How much of the state of the shared records has been fetched, and is staged.

How it comes to be staged, and takes effect, is `store.staging`'s business; the log has to know of it,
too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leaderless.protocol.packing import unpack
from leaderless.protocol.vectors import Staging
from leaderless.store import meta
from leaderless.store.feeds import feeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_MAX_FACT: Final = 4_096


def read_staging(connection: Connection) -> Staging | None:
    """Return how far the state has been fetched, None where nothing is staged."""
    if meta.get(connection, meta.STAGING) is None:
        return None
    after, count, done, *_ = fact(connection)
    found = connection.exec_driver_sql("SELECT feed, start, as_of FROM staged_position").all()
    as_of = {feed: reached for feed, _, reached in found}
    whole = bool(done) and _has_headers(connection, as_of)
    start = {feed: start for feed, start, _ in found if start}
    return Staging(start, as_of, after, count, bool(done), whole)


def _has_headers(connection: Connection, vector: Mapping[bytes, int]) -> bool:
    """Return whether the headers of all commits of a vector are here, and count."""
    reach = {feed.feed: feed.reach for feed in feeds(connection)}
    return all(reach.get(feed, 0) >= seq for feed, seq in vector.items())


def fact(connection: Connection) -> list[Any]:
    """Return what is noted of what is staged: cursor, count, done, first source, hash of the log."""
    noted: list[Any] = unpack(meta.get(connection, meta.STAGING), _MAX_FACT)
    return noted
