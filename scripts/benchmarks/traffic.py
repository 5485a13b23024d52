"""What goes over the wire: the bytes of an entry, and of two that meet and are equal already."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.echoes import handshakes
from scripts.benchmarks.figures import Figure, at_most, at_most_of_floor
from scripts.benchmarks.floors import floor
from scripts.benchmarks.pairs import Events
from scripts.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmarks.pairs import Pair
    from scripts.benchmarks.setting import Setting

QUIET_S: Final = 2.0
"""After a proof: whatever is still said belongs to the meeting."""


def _carried(pair: Pair) -> tuple[int, float]:
    """Let a pair meet through a relay; return the bytes of both directions, and the seconds."""
    relay = Relay()
    pair.call_through(relay)
    pair.second.start()
    events = Events(pair.second)
    pair.first.begin()
    began = events.wait("peer_connected")
    took = events.wait("proved") - began
    time.sleep(QUIET_S)
    return relay.bytes_forwarded, took


def wire(setting: Setting) -> Iterator[Figure]:
    """Yield the bytes of an entry in a backfill, without hashes of content, once."""
    with setting.templates.behind(setting.rows, hashed=False) as pair:
        lowest = floor("compress", pair.first.home / "state" / "library.db")
        carried, _ = _carried(pair)
    here, least = carried / setting.rows, lowest["bytes"] / lowest["rows"]
    goals = (at_most_of_floor(1.15), at_most(25))
    yield Figure("wire", "an entry", "bytes", (here,), (least,), goals)


def reconnect(setting: Setting) -> Iterator[Figure]:
    """Yield the bytes and the milliseconds above a handshake of two equal ones that meet."""
    sizes = (setting.rows // 100, setting.rows)
    taken, shake_bytes = handshakes(setting.folder / "echoes", 20)
    shake_ms = 1e3 * median(taken)
    for rows in sizes:

        def once(rows: int = rows) -> tuple[int, float]:
            with setting.templates.equal(rows) as pair:
                return _carried(pair)

        runs = setting.runs(once)
        carried = tuple(size - shake_bytes for size, _ in runs)
        above = tuple(1e3 * took - shake_ms for _, took in runs)
        what = f"{rows:,} equal entries"
        yield Figure("reconnect", what, "bytes", carried, goals=(at_most(2_048),))
        yield Figure("reconnect", what, "ms", above, goals=(at_most(50),))
