"""What the status report needs to know of the database, read in one snapshot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.conflicts import count_conflicts
from leaderless.catalogue.hierarchy import circles
from leaderless.store import came_back, forks, given_back, log, meta, revocations, shelf
from leaderless.store.holdings import read_holdings
from leaderless.store.repair import replacement_in
from registry.hlc import MAX_DRIFT_MS, Stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.protocol.vectors import Holdings
    from registry.models import Registry

MOST_CONFLICTS = 1_000
"""Of more it is not said how many there are: the status is asked for often."""
_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")


class Facts:
    """What the database says, read in one snapshot."""

    def __init__(self, connection: Connection, now_ms: int, epoch: int, registry: Registry) -> None:
        self.holdings: Holdings = read_holdings(connection)
        named = connection.exec_driver_sql("SELECT uuid, name FROM device WHERE dead = 0")
        self.names: dict[bytes, str] = {uuid: name for uuid, name in named}
        self.scans = connection.exec_driver_sql(
            "SELECT uuid, name, scan_state, error_message FROM location"
            " WHERE epoch = ? AND dead = 0 ORDER BY name",
            (epoch,),
        ).all()
        self.tags = int(connection.exec_driver_sql("SELECT count(*) FROM tag").scalar_one())
        self.shelf = shelf.waiting(connection)
        bound = Stamp(max(now_ms + MAX_DRIFT_MS, 0), 0, 0).pack()
        self.future = log.future_authors(connection, now_ms, bound)
        self.conflicts = count_conflicts(connection, registry, MOST_CONFLICTS)
        self.circles = circles(connection)
        self.replaced = replacement_in(connection)
        self.given = given_back.given(connection)
        self.restoring_ms: int | None = meta.get(connection, meta.RESTORING)
        """Since when this device takes its rows back, None if it does not."""
        self.came_back = came_back.came_back(connection)
        self.lapsed: Mapping[bytes, int] = {}
        """Members whose lease is over, and when each was seen last (ms)."""
        self.forked = log.forked(connection)
        self.open_forks = forks.open_forks(connection, self.forked, self.holdings.vectors.owned)
        self.left_behind = revocations.left_behind(connection)


def short(device: bytes) -> str:
    """Return what a device is called that has not said its name yet: as its id is in lists."""
    return device.hex()[:8]


def called(facts: Facts, device: bytes) -> str:
    """Return the name of a device, in words of its own."""
    return facts.names.get(device) or short(device)


def named(facts: Facts, text: str) -> str:
    """Return a text with the names of the devices whose ids stand in it."""
    return _ID.sub(lambda found: called(facts, bytes.fromhex(found[0])), text)
