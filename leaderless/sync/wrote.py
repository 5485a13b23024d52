"""What a write has led to, read in its thread as soon as it is durable.

Whoever waits for an edit waits for this, too: no other thread has to be woken to read what this one
has just written, neither what is held now nor what peers are sent next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.commands import Key, Read, Stream
from leaderless.store.holdings import read_holdings
from leaderless.sync.source import read_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection as Database

    from leaderless.protocol.vectors import Holdings
    from leaderless.store.store import Store

_FEW: Final = 16
"""Commits of one feed that are read at once. Of more, reading is not what takes the time."""


class Wrote(NamedTuple):
    """What is held after a write, and what can be sent of it as it is."""

    holdings: Holdings
    fresh: Mapping[tuple[Key, int], Read]
    """Of each feed that went on by a few commits the batch after where it stood; good as long as
    nothing else is written."""


def look(store: Store, database: Database, before: Holdings | None) -> Wrote:
    """Return what a write has led to; `before` is what was held, None if nobody is there to be told."""
    holdings = read_holdings(database)
    if before is None:
        return Wrote(holdings, {})
    fresh: dict[tuple[Key, int], Read] = {}
    for feed, position in holdings.vectors.feeds.items():
        held = before.vectors.feeds.get(feed)
        after = 0 if held is None else held.received
        if after < position.received <= after + _FEW:
            key = Key(Stream.LOG, feed)
            read = read_stream(database, store.registry, store.own_device, key, after, set())
            if read is not None:
                fresh[key, after] = read
    return Wrote(holdings, fresh)
