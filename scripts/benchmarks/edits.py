"""Edits of people: how soon one is seen, how fast thousands merge, what one over many files costs."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from functools import partial
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import trio

from registry.changes import Create, RecordId, Update
from scripts.benchmarks.echoes import pings
from scripts.benchmarks.figures import Figure, at_least_of_floor, at_most_of_floor
from scripts.benchmarks.filling import opened
from scripts.benchmarks.floors import floor
from scripts.benchmarks.pairs import Events, client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leaderless.store.transaction import Transaction
    from scripts.benchmarks.pairs import Pair
    from scripts.benchmarks.setting import Setting
    from scripts.device import Device

EDITS: Final = 500
MERGED_EDITS: Final = 10_000
RECORDS: Final = 1_000
PAUSE_S: Final = 0.02
_LOOK_S: Final = 0.000_1
_PERCENTILES: Final = {50: 1.5, 99: 3.0}


def library_of(device: Device) -> Path:
    """Return the database of a device."""
    return device.home / "state" / "library.db"


# --- how soon -------------------------------------------------------------------------------------


class Watch:
    """Looks at a file again and again for what is to come; tells when it was there."""

    def __init__(self, path: Path, query: str) -> None:
        self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._query = query

    def until(self, value: object) -> float:
        """Return when the query shows a value."""
        while True:
            found = self._database.execute(self._query).fetchone()
            if found is not None and found[0] == value:
                return time.perf_counter()
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Look no more."""
        self._database.close()


def _edits(pair: Pair, count: int) -> list[float]:
    """Edit a tag at the first so often; return the seconds until the second could show each."""
    ask = client(pair.first)
    ask.post("/v1/tags/create", {"name": "seen"})
    watch = Watch(
        library_of(pair.second), "SELECT description FROM tag WHERE canonical_name = 'seen'"
    )
    taken: list[float] = []
    for at in range(count):
        seen: list[float] = []
        value = str(at)
        looking = threading.Thread(target=lambda v, s: s.append(watch.until(v)), args=(value, seen))
        looking.start()
        began = time.perf_counter()
        ask.post("/v1/tags/set", {"tag": "seen", "fields": {"description": value}})
        looking.join()
        taken.append(seen[0] - began)
        time.sleep(PAUSE_S)
    watch.close()
    return taken


def _percentile(values: list[float], which: int) -> float:
    return 1e3 * quantiles(values, n=100)[which - 1]


def latency(setting: Setting) -> Iterator[Figure]:
    """Yield how long after it was asked for an edit is readable at the peer."""

    def once() -> tuple[list[float], list[float]]:
        with setting.templates.equal(setting.rows // 100) as pair:
            pair.second.start()
            events = Events(pair.second)
            pair.first.start()
            events.wait("proved")
            there = pings(setting.folder / "echoes", EDITS)
            written = floor("commit", pair.base / "floor.db", EDITS)["each_s"]
            # One commit on each side, and a message there and back.
            return _edits(pair, EDITS), [ping + 2 * written for ping in there]

    runs = setting.runs(once)
    for which, limit in _PERCENTILES.items():
        values = tuple(_percentile(taken, which) for taken, _ in runs)
        floors = tuple(_percentile(least, which) for _, least in runs)
        goal = (at_most_of_floor(limit),)
        yield Figure("latency", f"an edit, p{which}", "ms", values, floors, goal)


# --- how many -------------------------------------------------------------------------------------


async def _edit_offline(home: Path, seed: int, ids: list[bytes], count: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable
    async with opened(home) as store:
        for at in range(count):
            edit = Update("tag", RecordId(chance.choice(ids)), {"description": f"{seed} {at}"})
            store.write_here(partial(_commit, command="tag.set", edits=[edit]))


async def _create_offline(home: Path, ids: list[bytes]) -> None:
    async with opened(home) as store:
        edits = [Create("tag", RecordId(uuid), {"canonical_name": uuid.hex()}) for uuid in ids]
        store.write_here(partial(_commit, command="tag.create", edits=edits))


def _commit(transaction: Transaction, command: str, edits: list[Any]) -> None:
    transaction.commit(command, edits)


def merge(setting: Setting) -> Iterator[Figure]:
    """Yield how fast two merge what each has edited alone, of the same records."""
    count = min(MERGED_EDITS, setting.rows // 10)
    chance = random.Random(0)  # noqa: S311 - has to be repeatable
    ids = [chance.randbytes(16) for _ in range(min(RECORDS, count))]

    def once() -> tuple[float, float]:
        with setting.templates.equal(100) as pair:
            trio.run(_create_offline, pair.first.home, ids)
            _meet(pair)
            for seed, device in ((1, pair.first), (2, pair.second)):
                trio.run(_edit_offline, device.home, seed, ids, count)
            least = floor("changes", pair.base / "floor.db", 2 * count)
            return 2 * count / _meet(pair), least["rows"] / least["seconds"]

    runs = setting.runs(once)
    values, floors = zip(*runs, strict=True)
    goal = (at_least_of_floor(0.5),)
    yield Figure("merge", f"{2 * count:,} offline edits", "edits/s", values, floors, goal)


def _meet(pair: Pair) -> float:
    """Let the two meet and become equal, and stop them; return the seconds from their greeting on."""
    pair.second.start()
    events = Events(pair.second)
    pair.first.begin()
    began = events.wait("peer_connected")
    took = events.wait("proved") - began
    pair.stop()
    return took


def bulk(setting: Setting) -> Iterator[Figure]:
    """Yield how fast one command over a ninth of the files is applied, here and at the peer."""

    def once() -> tuple[float, float]:
        with setting.templates.equal(setting.rows) as pair:
            pair.second.start()
            events = Events(pair.second)
            pair.first.start()
            events.wait("proved")
            ask = client(pair.first)
            ask.post("/v1/tags/create", {"name": "many"})
            watch = Watch(library_of(pair.second), "SELECT count(*) FROM user_metadata_tag")
            said = {"tag": "many", "where": {"text": "report"}, "scope": "entry"}
            began = time.perf_counter()
            count = int(ask.post("/v1/tags/add", said, timeout_s=3_600)["count"])
            took = watch.until(count) - began
            watch.close()
            least = floor("links", pair.base / "floor.db", count)
            return count / took, least["rows"] / (2 * least["seconds"])

    runs = setting.runs(once)
    values, floors = zip(*runs, strict=True)
    goal = (at_least_of_floor(0.4),)
    yield Figure("bulk tag", "one command", "files/s", values, floors, goal)
