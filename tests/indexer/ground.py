"""A real folder and a real store, and passes over the one into the other; no service around them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import trio

from leaderless.indexer import rows
from leaderless.indexer.ignore import Ignored
from leaderless.indexer.locations import add_location
from leaderless.indexer.scan import Brake, Pass, Progress
from leaderless.indexer.volumes import System
from tests.replicas import make_replicas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from leaderless.store.store import Store

NEVER = Brake(1_000_000, 1.0)
"""A brake that lets everything be deleted."""


def nobody_looks(_: bytes) -> None:
    """Take no notice of which directory is read."""


class Ground:
    """A location over `folder`; what a test changes there is taken in by `scan`."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.location = b""
        self.progress = Progress()

    async def add(self, mode: str = "shallow") -> None:
        """Make the folder a location, still unread."""
        self.location = await add_location(
            self.store, System(), os.fsencode(self.folder), None, mode
        )

    def held_location(self) -> rows.Location:
        """Return the location as the indexer knows it."""
        with self.store._writer.connect() as connection:
            found = rows.locations(connection, self.store.own_epoch)
        return next(item for item in found if item.uuid == self.location)

    async def start(self, *paths: str) -> dict[str, bytes]:
        """Plant `paths`, read the folder for the first time; return the uuids by relative path."""
        plant(self.folder, *paths)
        await self.add()
        await self.scan()
        return self.uuids()

    def rename(self, old: str, new: str) -> None:
        """Rename something in the folder."""
        (self.folder / old).rename(self.folder / new)

    def swap(self, one: str, other: str) -> None:
        """Give two things in the folder each other's names."""
        self.rename(one, "swapping")
        self.rename(other, one)
        self.rename("swapping", other)

    async def scan(
        self,
        *only: str,
        brake: Brake = NEVER,
        ignored: Ignored | None = None,
        on_directory: Callable[[bytes], None] = nobody_looks,
    ) -> Progress:
        """Do one pass: over the whole folder, or over the directories named (relative, "" = root)."""
        self.progress = Progress()
        work = Pass(
            self.store,
            self.held_location(),
            ignored or Ignored(()),
            brake,
            self.progress,
            on_directory,
        )
        paths = [os.fsencode(self.folder / item) for item in only]
        with trio.fail_after(60):
            await work.run(paths or None)
        return self.progress

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds in the file."""
        with contextlib.closing(sqlite3.connect(self.store.path)) as connection:
            return connection.execute(text, values).fetchall()

    def watermark(self) -> int:
        """Return how many changes of own rows there were."""
        return int(self.query("SELECT max(watermark) FROM incarnation")[0][0])

    def catalogued(self) -> dict[bytes, tuple[bytes, str]]:
        """Return (uuid, kind) of every live entry of the location by its relative path."""
        found = self.query(
            "SELECT e.id, e.parent, e.name, e.uuid, e.kind FROM entry e"
            " JOIN location l ON l.id = e.location WHERE e.dead = 0 AND l.uuid = ?",
            self.location,
        )
        held = {key: (parent, name) for key, parent, name, _, _ in found}
        paths: dict[bytes, tuple[bytes, str]] = {}
        for key, _, _, uuid, kind in found:
            parts: list[bytes] = []
            at: int | None = key
            while at is not None:
                parent, name = held[at]
                if parent is not None:
                    parts.append(name)
                at = parent
            path = b"/".join(reversed(parts))
            assert path not in paths, f"two entries at {path!r}"
            paths[path] = (uuid, kind)
        return paths

    def uuids(self) -> dict[str, bytes]:
        """Return the uuid of every live entry by its relative path."""
        return {os.fsdecode(path): uuid for path, (uuid, _) in self.catalogued().items()}

    def on_disk(self) -> dict[bytes, str]:
        """Return the kind of everything in the folder by relative path, as os.walk tells it."""
        return dict(_walk(os.fsencode(self.folder), b""))

    def is_exact(self) -> bool:
        """Return whether the catalogue shows the folder as it is."""
        return {path: kind for path, (_, kind) in self.catalogued().items()} == self.on_disk()

    def close(self) -> None:
        """Close the store; its rows must still hold together."""
        with self.store._writer.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        self.store.close()


def _walk(path: bytes, relative: bytes) -> Iterable[tuple[bytes, str]]:
    yield relative, "directory"
    with os.scandir(path) as entries:
        for entry in entries:
            below = relative + b"/" + entry.name if relative else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, below)
            else:
                yield below, "symlink" if entry.is_symlink() else "file"


def make_ground(tmp_path: Path) -> Ground:
    """Return an empty folder and a store of its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (replica,) = make_replicas(tmp_path, 1)
    return Ground(replica.store, folder)


@contextlib.contextmanager
def open_ground(tmp_path: Path) -> Iterator[Ground]:
    """Close what `make_ground` made when done."""
    ground = make_ground(tmp_path)
    try:
        yield ground
    finally:
        ground.close()


def plant(folder: Path, *paths: str) -> None:
    """Make files (or, with a slash at the end, directories) with all that is above them."""
    for path in paths:
        target = folder / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path)
