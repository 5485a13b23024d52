"""What two daemons cost while nothing happens, and what their files take on the disk."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.figures import Figure, at_most, at_most_of_floor
from scripts.benchmarks.pairs import Events
from scripts.benchmarks.processes import cpu_s, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmarks.setting import Setting

IDLE_S: Final = 120.0
SETTLING_S: Final = 10.0


def idle(setting: Setting) -> Iterator[Figure]:
    """Yield what two connected daemons use of a core and of memory in two minutes, once."""
    with setting.templates.equal(setting.rows) as pair:
        pair.call_seldom()
        pair.second.start()
        events = Events(pair.second)
        pair.first.start()
        events.wait("proved")
        time.sleep(SETTLING_S)
        sides = {"who was called": pair.first.pid, "who called": pair.second.pid}
        before = {name: cpu_s(pid) for name, pid in sides.items()}
        time.sleep(IDLE_S)
        for name, pid in sides.items():
            used = 100 * (cpu_s(pid) - before[name]) / IDLE_S
            yield Figure("idle", f"CPU of {name}", "% of a core", (used,), goals=(at_most(0.2),))
            held = resident_bytes(pid) / 1e6
            yield Figure("idle", f"memory of {name}", "MB", (held,), goals=(at_most(100),))


def disk(setting: Setting) -> Iterator[Figure]:
    """Yield the bytes of an entry in the file with every index, and those of the row alone."""
    with setting.templates.equal(setting.rows) as pair:
        for name, device in (("its owner", pair.first), ("a peer", pair.second)):
            path = device.home / "state" / "library.db"
            with sqlite3.connect(path) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                row = _row_bytes(database)
            database.close()
            size = path.stat().st_size / setting.rows
            goal = (at_most_of_floor(1.6),)
            yield Figure("disk", f"an entry at {name}", "bytes", (size,), (row,), goal)


def _row_bytes(database: sqlite3.Connection) -> float:
    """Return the bytes of a row's own values: keys and numbers as SQLite stores them."""
    query = (
        "SELECT sum(payload) * 1.0 / (SELECT count(*) FROM entry) FROM dbstat WHERE name = 'entry'"
    )
    return float(database.execute(query).fetchone()[0])
