"""The indexer over real folders and a real store."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from leaderless.indexer.service import Indexer, Settings, open_indexer
from tests.replicas import Replica, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Bench:
    """A folder, a replica and its indexer."""

    def __init__(self, folder: Path, replica: Replica, indexer: Indexer) -> None:
        self.folder = folder
        self.replica = replica
        self.indexer = indexer
        self.location = b""

    async def add(self, mode: str = "shallow") -> None:
        """Add the folder as a location and wait for its first pass."""
        self.location = await self.indexer.add(os.fsencode(self.folder), None, mode)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is left to look at."""
        with trio.fail_after(60):
            await self.indexer.wait_idle()

    async def rescan(self, *, accept_deletes: bool = False) -> None:
        """Look at everything again."""
        self.indexer.request(self.location, accept_deletes=accept_deletes)
        await self.settle()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return query_file(self.replica.store.path, query)

    def names(self) -> dict[bytes, bytes]:
        """Return the uuid of every entry by name."""
        return dict(self.rows("SELECT name, uuid FROM entry WHERE dead = 0"))

    def watermark(self) -> int:
        """Return the rev of the last change of an own row."""
        return self.rows("SELECT max(watermark) FROM incarnation")[0][0]


@asynccontextmanager
async def open_bench(tmp_path: Path, settings: Settings | None = None) -> AsyncIterator[Bench]:
    """Run an indexer over an empty folder, without watches unless settings ask for them."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (replica,) = make_replicas(tmp_path, 1)
    opened = open_indexer(replica.store, settings or Settings(watch=False), lambda *_: None)
    async with opened as indexer:
        yield Bench(folder, replica, indexer)
    with replica.store._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    replica.store.close()


async def test_strange_names_are_indexed_exactly(tmp_path: Path) -> None:
    """Names that are no UTF-8, hold newlines or escapes, or have 255 bytes come through as bytes."""
    strange = {b"caf\xe9", b"two\nlines", b"\x1b[31mred", b"x" * 255}
    async with open_bench(tmp_path) as bench:
        for name in strange:
            (bench.folder / os.fsdecode(name)).touch()
        await bench.add()
        assert strange <= set(bench.names())


async def test_forty_levels_and_link_loops_end(tmp_path: Path) -> None:
    """Deep trees are read whole, a link to its own parent is one entry and not followed."""
    async with open_bench(tmp_path) as bench:
        deep = bench.folder.joinpath(*[f"d{level}" for level in range(40)])
        deep.mkdir(parents=True)
        (deep / "loop").symlink_to(bench.folder)
        await bench.add()
        kinds = dict(bench.rows("SELECT name, kind FROM entry"))
        assert (kinds[b"d39"], kinds[b"loop"]) == ("directory", "symlink")
        assert len(kinds) == 42


async def test_a_renamed_directory_is_one_changed_row(tmp_path: Path) -> None:
    """Renaming a directory changes its row and no row below it."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "old" / "sub").mkdir(parents=True)
        for at in range(300):
            (bench.folder / "old" / "sub" / f"f{at}").touch()
        await bench.add()
        before, uuids = bench.watermark(), bench.names()
        (bench.folder / "old").rename(bench.folder / "new")
        await bench.rescan()
        after = bench.names()
        assert after[b"new"] == uuids[b"old"]
        assert b"old" not in after
        # The renamed directory and its parent, whose mtime changed.
        assert bench.watermark() - before == 2


async def test_a_deleted_directory_leaves_a_tombstone_for_each_row(tmp_path: Path) -> None:
    """Deleting a tree removes every row below it, each with its own tombstone."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "gone").mkdir()
        for at in range(5):
            (bench.folder / "gone" / f"f{at}").touch()
        await bench.add()
        for item in (bench.folder / "gone").iterdir():
            item.unlink()
        (bench.folder / "gone").rmdir()
        await bench.rescan()
        assert set(bench.names()) == {b"folder"}
        assert bench.rows("SELECT count(*) FROM tombstone") == [(6,)]


async def test_a_file_that_left_a_deleted_directory_survives(tmp_path: Path) -> None:
    """A file that was moved out before its directory was deleted keeps its identity."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "a").mkdir()
        (bench.folder / "a" / "kept").write_text("1")
        await bench.add()
        uuid = bench.names()[b"kept"]
        (bench.folder / "a" / "kept").rename(bench.folder / "kept")
        (bench.folder / "a").rmdir()
        await bench.rescan()
        assert bench.names() == {b"folder": bench.names()[b"folder"], b"kept": uuid}


async def test_a_replaced_file_keeps_its_identity(tmp_path: Path) -> None:
    """An editor that writes a new file over an old name leaves the same entry."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "text").write_text("one")
        await bench.add()
        uuid = bench.names()[b"text"]
        (bench.folder / "text.new").write_text("two!")
        (bench.folder / "text.new").replace(bench.folder / "text")
        await bench.rescan()
        assert bench.names()[b"text"] == uuid


async def test_a_hard_link_is_an_entry_of_its_own(tmp_path: Path) -> None:
    """A second name of one inode does not take the first one's identity."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "first").write_text("x")
        await bench.add()
        uuid = bench.names()[b"first"]
        (bench.folder / "second").hardlink_to(bench.folder / "first")
        await bench.rescan()
        names = bench.names()
        assert names[b"first"] == uuid
        assert names[b"second"] != uuid


async def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    """A second pass over the same folder changes no row."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "a").mkdir()
        (bench.folder / "a" / "f").touch()
        await bench.add()
        before = bench.watermark()
        await bench.rescan()
        assert bench.watermark() == before


async def test_a_mass_delete_asks_first(tmp_path: Path) -> None:
    """A pass that misses too much deletes nothing, names the command, and obeys it."""
    settings = Settings(watch=False, mass_delete_count=10)
    async with open_bench(tmp_path, settings) as bench:
        for at in range(20):
            (bench.folder / f"f{at}").touch()
        await bench.add()
        for item in bench.folder.iterdir():
            item.unlink()
        await bench.rescan()
        ((state, message),) = bench.rows("SELECT scan_state, error_message FROM location")
        assert (state, len(bench.names())) == ("blocked", 21)
        assert "leaderless location scan folder --accept-deletes" in message
        await bench.rescan(accept_deletes=True)
        assert len(bench.names()) == 1


async def test_a_folder_that_is_gone_is_offline_not_empty(tmp_path: Path) -> None:
    """When the folder itself is away its entries stay, and the location says that it is offline."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "f").touch()
        await bench.add()
        bench.folder.rename(tmp_path / "elsewhere")
        await bench.rescan()
        assert bench.rows("SELECT scan_state FROM location") == [("offline",)]
        assert b"f" in bench.names()


async def test_content_mode_hashes_whole_files(tmp_path: Path) -> None:
    """In content mode a file has the BLAKE3 of its bytes, a new one after it changed."""
    async with open_bench(tmp_path) as bench:
        (bench.folder / "f").write_bytes(b"abc")
        await bench.add("content")
        query = "SELECT hex(content) FROM entry WHERE name = CAST('f' AS BLOB)"
        assert bench.rows(query)[0][0].lower().startswith("6437b3ac38465133ffb63b75273a8db5")
        (bench.folder / "f").write_bytes(b"abcd")
        await bench.rescan()
        assert not bench.rows(query)[0][0].lower().startswith("6437b3ac")


async def test_a_watched_change_is_noticed_without_a_scan(tmp_path: Path) -> None:
    """A file that appears in a new directory is indexed by the watcher alone."""
    async with open_bench(tmp_path, Settings(watch=True)) as bench:
        await bench.add()
        arrived = trio.Event()

        def look() -> None:
            if b"late" in bench.names():
                arrived.set()

        bench.replica.store.listen(look)
        (bench.folder / "sub").mkdir()
        (bench.folder / "sub" / "late").touch()
        with trio.fail_after(30):
            await arrived.wait()
