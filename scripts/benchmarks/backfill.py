"""An empty peer takes in everything: how fast, at what size, with how much memory and traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.benchmarks.figures import (
    Figure,
    at_least_of_floor,
    at_most,
    at_most_of_floor,
)
from scripts.benchmarks.floors import floor
from scripts.benchmarks.pairs import Events
from scripts.benchmarks.processes import cpu_s, peak_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmarks.setting import Setting

MEMORY_MB = 160


def _once(setting: Setting, rows: int) -> dict[str, float]:
    """Backfill once; return the rows a second, those of the floor, and what was used."""
    with setting.templates.behind(rows) as pair:
        source = pair.first.home / "state" / "library.db"
        lowest = floor("upsert", source, pair.base / "floor.db")
        pair.second.start()
        events = Events(pair.second)
        pair.first.begin()
        began = events.wait("peer_connected")
        ended = events.wait("proved")
        return {
            "rows_s": rows / (ended - began),
            "floor_rows_s": lowest["rows"] / lowest["seconds"],
            "first_peak": peak_bytes(pair.first.pid) / 1e6,
            "second_peak": peak_bytes(pair.second.pid) / 1e6,
            "first_cpu": cpu_s(pair.first.pid),
            "second_cpu": cpu_s(pair.second.pid),
        }


def backfill(setting: Setting) -> Iterator[Figure]:
    """Yield rows a second of an empty peer until all is durable and proved, and peaks of memory."""
    runs = setting.runs(lambda: _once(setting, setting.rows))
    rates = tuple(run["rows_s"] for run in runs)
    floors = tuple(run["floor_rows_s"] for run in runs)
    goal = (at_least_of_floor(0.8),)
    yield Figure("backfill", f"{setting.rows:,} entries", "rows/s", rates, floors, goal)
    for side, name in (("first", "sends"), ("second", "receives")):
        peaks = tuple(run[f"{side}_peak"] for run in runs)
        yield Figure("memory", f"peak of who {name}", "MB", peaks, goals=(at_most(MEMORY_MB),))
        used = tuple(run[f"{side}_cpu"] for run in runs)
        yield Figure("backfill", f"CPU of who {name}", "s", used)


def growth(setting: Setting) -> Iterator[Figure]:
    """Yield the cost of a row at ten and a hundred times as many, of that at the least."""
    least: tuple[float, ...] = ()
    for size in (setting.rows // 100, setting.rows // 10, setting.rows):
        runs = setting.runs(lambda: _once(setting, size))  # noqa: B023 - it is run at once
        cost = tuple(1e6 / run["rows_s"] for run in runs)
        goal = (at_most_of_floor(1.25),) if least else ()
        yield Figure("growth", f"{size:,} rows", "us/row", cost, least, goal, size)
        least = least or cost
