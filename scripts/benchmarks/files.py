"""Indexing: the first look at a tree of files, a second one, and the hashing of contents."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.figures import Figure, at_least_of_floor
from scripts.benchmarks.floors import floor
from scripts.benchmarks.pairs import Events, client
from scripts.benchmarks.processes import cpu_s
from scripts.benchmarks.trees import EXTENSIONS, PER_DIRECTORY, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripts.benchmarks.pairs import Pair
    from scripts.benchmarks.setting import Setting

_BYTES_A_ROW: Final = 1 << 10
_LARGEST_BYTES: Final = 32 << 20


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


def write_files(root: Path, total_bytes: int, seed: int = 1) -> int:
    """Make files of so many bytes in all, as large and small as in a home; return how many.

    Half of them are smaller than 22 kB; most bytes are in few large ones.
    """
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable
    count = written = 0
    while written < total_bytes:
        size = min(int(chance.lognormvariate(10, 2.5)), _LARGEST_BYTES, total_bytes - written)
        folder = root / f"{chance.choice(WORDS)} {count // PER_DIRECTORY}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{count}.dat").write_bytes(chance.randbytes(size))
        written += size
        count += 1
    return count


def _forget(root: Path) -> None:
    """Have the system read the files below a folder from the disk when they are asked for."""
    os.sync()
    for _, _, names, folder in os.fwalk(root):
        for name in names:
            handle = os.open(name, os.O_RDONLY, dir_fd=folder)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def hashing(setting: Setting) -> Iterator[Figure]:
    """Yield how fast the contents of files on the disk are hashed, beside reading them."""
    size = setting.rows * _BYTES_A_ROW
    root = setting.folder / "contents"
    setting.say(f"writing {size >> 20:,} MiB")
    count = write_files(root, size)

    def once() -> tuple[float, float, float]:
        with setting.templates.behind(1) as pair:
            pair.first.start()
            shown = {"path": str(root), "index_mode": "shallow"}
            location, _ = _scanned(pair, "/v1/locations", shown)
            _forget(root)
            used = cpu_s(pair.first.pid)
            wanted = {"location": location, "index_mode": "content"}
            _, seconds = _scanned(pair, "/v1/locations/mode", wanted)
            used = cpu_s(pair.first.pid) - used
            pair.stop()
            _forget(root)
            return seconds, floor("read", root)["seconds"], used

    runs = setting.runs(once)
    tried, least, used = zip(*runs, strict=True)
    mib = size / (1 << 20)
    what = f"{count:,} files"
    rates, floors = (tuple(mib / seconds for seconds in found) for found in (tried, least))
    yield Figure("hash", what, "MiB/s", rates, floors, (at_least_of_floor(0.8),))
    yield Figure("hash", f"{what}, processor", "s/GiB", tuple(s * 1024 / mib for s in used))
    shutil.rmtree(root)
