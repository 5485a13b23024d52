"""Indexing: the first look at a tree of files, a second one, and the hashing of contents."""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.figures import Figure, at_least_of_floor
from scripts.benchmarks.floors import floor
from scripts.benchmarks.pairs import Events, client
from scripts.benchmarks.trees import EXTENSIONS, PER_DIRECTORY, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.benchmarks.pairs import Pair
    from scripts.benchmarks.setting import Setting

HASHED_BYTES: Final = 1 << 30
_LARGE: Final = 4 << 20


def plant(root: Path, count: int, seed: int = 1) -> None:
    """Make a tree of so many names below a folder, small files in directories as in a home."""
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable
    root.mkdir(parents=True)
    directories = [root]
    for at in range(1, count):
        stem, parent = f"{chance.choice(WORDS)} {at}", chance.choice(directories)
        if chance.randrange(PER_DIRECTORY) == 0:
            (parent / stem).mkdir()
            directories.append(parent / stem)
            continue
        ending = chance.choice(EXTENSIONS)
        (parent / (stem if ending is None else f"{stem}.{ending}")).touch()


def _scanned(pair: Pair, path: str, body: dict[str, str]) -> tuple[str, float]:
    """Have the first device look at a folder; return its id, and the seconds until that is over.

    It says itself when that is: whoever asks again and again slows it down.
    """
    events = Events(pair.first)
    began = time.perf_counter()
    told = client(pair.first).post(path, body)
    return told["id"], events.wait("scan_idle") - began


def scan(setting: Setting) -> Iterator[Figure]:
    """Yield how fast a folder is indexed the first time, and looked through when nothing changed."""
    count = setting.rows * 3 // 10
    root = setting.folder / "tree"
    setting.say(f"planting {count:,} names")
    plant(root, count)

    def once() -> tuple[float, float, float, float]:
        with setting.templates.behind(1) as pair:
            pair.first.start()
            shown = {"path": str(root), "index_mode": "shallow"}
            location, first_s = _scanned(pair, "/v1/locations", shown)
            _, again_s = _scanned(pair, "/v1/locations/scan", {"location": location})
            pair.stop()
            walk = floor("walk", root)["seconds"]
            source = pair.first.home / "state" / "library.db"
            write = floor("upsert", source, pair.base / "floor.db", 5_000)["seconds"]
            return first_s, walk + write, again_s, walk

    runs = setting.runs(once)
    firsts, leasts, agains, walks = zip(*runs, strict=True)
    goal = (at_least_of_floor(0.7),)
    for name, taken, least in (("scan", firsts, leasts), ("rescan", agains, walks)):
        rates = tuple(count / seconds for seconds in taken)
        floors = tuple(count / seconds for seconds in least)
        yield Figure(name, f"{count:,} names", "names/s", rates, floors, goal)
    shutil.rmtree(root)
