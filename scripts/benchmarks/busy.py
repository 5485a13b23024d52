"""Whether status or a live edit waits while a device takes in, indexes and tags all it can."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.edits import Watch, library_of
from scripts.benchmarks.figures import Figure, at_most
from scripts.benchmarks.files import plant
from scripts.benchmarks.pairs import Events, client, options_of
from scripts.device import Device, pair
from scripts.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from scripts.benchmarks.pairs import Pair
    from scripts.benchmarks.setting import Setting

PAUSE_S: Final = 0.05
_LONG_S: Final = 3_600.0


def _third(both: Pair) -> Device:
    """Add a third device that calls the second, and is a member; both run then."""
    options = options_of(free_port(), both.port_of_second(), calls=True)
    third = Device(both.base / "third", "third", options)
    both.second.start()
    third.start()
    pair(both.second, third, "127.0.0.1")
    third.run("wait", "--synced", "--timeout", "60")
    return third


def _while(working: Future[None], once: Callable[[], object]) -> list[float]:
    """Do something again and again while work is done; return the seconds each took."""
    taken = []
    while not working.done():
        began = time.perf_counter()
        once()
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE_S)
    return taken


def _load(both: Pair, root: Path, count: int) -> None:
    """Have the second take in all rows of the first, index a folder, and tag many files at once.

    It is over once the second has so many entries: while others edit, nothing is proved for long.
    """
    ask = client(both.second)
    ask.post("/v1/tags/create", {"name": "many"})
    events = Events(both.second)
    both.first.begin()
    events.wait("peer_connected")
    ask.post("/v1/locations", {"path": str(root), "index_mode": "shallow"})
    said = {"tag": "many", "where": {"text": "report"}, "scope": "entry"}
    while not ask.get("/v1/find", {"text": "report", "limit": 1})["entries"]:
        time.sleep(PAUSE_S)
    ask.post("/v1/tags/add", said, timeout_s=_LONG_S)
    library = sqlite3.connect(f"file:{library_of(both.second)}?mode=ro", uri=True)
    while library.execute("SELECT count(*) FROM entry").fetchone()[0] < count:
        time.sleep(1.0)
    library.close()


def busy(setting: Setting) -> Iterator[Figure]:
    """Yield how long a status and an edit of a third device take at one that is as busy as can be."""
    root = setting.folder / "busy"
    planted = setting.rows // 2
    plant(root, planted)
    with setting.templates.behind(setting.rows) as both:
        third = _third(both)
        ask, watched = client(both.second), client(third)
        watched.post("/v1/tags/create", {"name": "seen"})
        query = "SELECT description FROM tag WHERE canonical_name = 'seen'"
        watch, edits = Watch(library_of(both.second), query), iter(range(1 << 30))

        def edit() -> None:
            value = str(next(edits))
            watched.post("/v1/tags/set", {"tag": "seen", "fields": {"description": value}})
            watch.until(value)

        with ThreadPoolExecutor() as threads:
            working = threads.submit(_load, both, root, setting.rows + planted)
            asking = threads.submit(_while, working, lambda: ask.get("/v1/status"))
            arrived = _while(working, edit)
            working.result()
            statuses = asking.result()
        watch.close()
        third.stop()
    for what, taken, most in (("status", statuses, 50), ("a live edit", arrived, 250)):
        worst = (1e3 * quantiles(taken, n=100)[98],)
        yield Figure("busy", f"{what}, p99 of {len(taken)}", "ms", worst, goals=(at_most(most),))
