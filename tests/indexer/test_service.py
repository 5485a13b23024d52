"""The indexer over real folders and a real store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.errors import NotFoundError
from leaderless.indexer.hashing import HASH_STEP
from leaderless.indexer.passes import Settings
from leaderless.store import restoring
from tests.indexer.bench import make_bench, open_bench
from tests.indexer.ground import plant
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

    from leaderless.store.transaction import Transaction


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
        assert bench.state()[0] == "offline"
        assert b"f" in bench.names()


async def test_others_are_told_whether_a_folder_is_there(tmp_path: Path) -> None:
    """Once when it goes and once when it comes back: a row is sent for each."""
    async with open_bench(tmp_path) as bench:
        await bench.add()
        query = "SELECT is_offline, rev FROM location"
        ((offline, before),) = bench.rows(query)
        assert offline is None
        bench.folder.rename(tmp_path / "elsewhere")
        await bench.rescan()
        await bench.rescan()
        assert bench.rows(query) == [(1, before + 1)]
        (tmp_path / "elsewhere").rename(bench.folder)
        await bench.rescan()
        assert bench.rows(query) == [(None, before + 2)]


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


async def test_a_pass_that_went_well_leaves_its_location_idle(tmp_path: Path) -> None:
    """However often it is scanned, a location ends idle, with the time of it."""
    async with open_bench(tmp_path) as bench:
        await bench.add()
        await bench.rescan()
        assert bench.state() == ("idle", None)
        assert bench.rows("SELECT last_scan_at FROM location") == [(bench.store.now_ms(),)]


async def test_the_totals_of_a_location_travel(tmp_path: Path) -> None:
    """How many files and bytes are in a location stands in its row."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "a", "d/bc")
        await bench.add()
        totals = "SELECT total_file_count, total_byte_size FROM location"
        assert bench.rows(totals) == [(2, len("a") + len("d/bc"))]


async def test_what_did_not_change_is_not_added_up_again(tmp_path: Path) -> None:
    """A pass adds up a location if it wrote something, or if nobody has since the daemon began."""
    async with make_bench(tmp_path) as bench:
        asked: list[str] = []
        for reader in bench.store._idle_readers:
            with reader.begin() as connection:
                connection.raw().set_trace_callback(asked.append)  # type: ignore[attr-defined]
        plant(bench.folder, "a", "d/bc")
        sums = []
        async with bench.run():
            await bench.add()
            sums.append(_sums(asked))
            await bench.rescan()
            sums.append(_sums(asked))
            (bench.folder / "a").unlink()
            await bench.rescan()
            sums.append(_sums(asked))
        async with bench.run():
            await bench.settle()
            sums.append(_sums(asked))
        assert sums == [1, 1, 2, 3]
        totals = "SELECT total_file_count, total_byte_size FROM location"
        assert bench.rows(totals) == [(1, len("d/bc"))]


async def test_after_a_restore_a_location_is_added_up_anew(tmp_path: Path) -> None:
    """Its row and its entries may be of two lives: the next pass says what is there."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "a")
        await bench.add()

        def go_on(transaction: Transaction) -> None:
            transaction.conn.exec_driver_sql("UPDATE location SET total_file_count = 7")
            restoring.begin(transaction)
            restoring.go_on_as_restored(transaction, b"nonce--8")

        await bench.store.write(go_on)
        await bench.rescan()
        assert bench.rows("SELECT total_file_count FROM location") == [(1,)]


def _sums(asked: list[str]) -> int:
    return sum("sum(size_bytes)" in item for item in asked)


async def test_a_pass_tells_of_its_progress(tmp_path: Path) -> None:
    """What was seen, written and hashed can be asked for, and the end is told."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "a", "d/bc")
        await bench.add("content")
        progress = bench.indexer.progress[bench.location]
        assert (progress.phase, progress.entries_seen, progress.rows_written) == ("idle", 3, 4)
        assert (progress.files_hashed, progress.bytes_hashed) == (2, len("a") + len("d/bc"))
        assert bench.events() == ["scan_started", "scan_idle"]


async def test_a_scan_broken_off_is_whole_after_a_restart(tmp_path: Path) -> None:
    """A daemon that ends in the middle of its first scan finishes it when it runs again."""
    async with make_bench(tmp_path) as bench:
        plant(bench.folder, *[f"d{at % 700}/f{at}" for at in range(2_500)])
        async with bench.run():
            await bench.indexer.add(os.fsencode(bench.folder), None, "shallow")
            await bench.until(lambda: len(bench.names()) > 1)
        kept = bench.names()
        assert len(kept) < 3_201
        async with bench.run():
            await bench.settle()
            names = bench.names()
            assert len(names) == 3_201
            assert {name: names[name] for name in kept} == kept


async def test_whoever_waits_is_not_forgotten_when_more_is_asked_for(tmp_path: Path) -> None:
    """The end of all passes is told to those who began to wait before the last was wanted."""
    async with open_bench(tmp_path) as bench:
        bench.location, _ = await bench.indexer.add(os.fsencode(bench.folder), None, "shallow")
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.indexer.wait_idle)
                await trio.testing.wait_all_tasks_blocked()
                bench.indexer.request(bench.location)


async def test_a_location_can_be_removed_while_it_is_scanned(tmp_path: Path) -> None:
    """The pass ends and leaves nothing behind."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, *[f"d{at % 700}/f{at}" for at in range(2_500)])
        uuid, _ = await bench.indexer.add(os.fsencode(bench.folder), None, "shallow")
        await bench.until(lambda: len(bench.names()) > 1)
        with trio.fail_after(60):
            await bench.indexer.remove(uuid)
        await bench.settle()
        assert bench.names() == {}
        assert bench.rows("SELECT count(*) FROM location WHERE dead = 0") == [(0,)]
        assert bench.indexer.progress == {}


async def test_a_location_that_is_to_be_hashed_is_hashed_at_once(tmp_path: Path) -> None:
    """Another mode asks for a pass; what was known of the files stays."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "a", "b")
        await bench.add()
        await bench.settle()
        before = bench.names()
        await bench.indexer.set_mode(bench.location, "content")
        await bench.settle()
        assert bench.rows("SELECT count(*) FROM entry WHERE content IS NOT NULL") == [(2,)]
        assert bench.rows("SELECT index_mode FROM location") == [("content",)]
        assert bench.names() == before


async def test_a_mode_holds_that_is_changed_while_a_pass_runs(tmp_path: Path) -> None:
    """The pass ends, so it does not write the location as it knew it."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, *[f"d{at % 700}/f{at}" for at in range(2_500)])
        await bench.add()
        await bench.until(lambda: len(bench.names()) > 1)
        await bench.indexer.set_mode(bench.location, "deep")
        await bench.settle()
        assert bench.rows("SELECT index_mode FROM location") == [("deep",)]
        assert len(bench.names()) == 3_201


async def test_what_is_no_location_here_cannot_be_removed(tmp_path: Path) -> None:
    """An unknown location is an error, and a request to scan it is forgotten."""
    async with open_bench(tmp_path) as bench:
        bench.indexer.request(b"unknown")
        await bench.settle()
        with pytest.raises(NotFoundError):
            await bench.indexer.remove(b"unknown")


async def test_hashing_waits_for_folders_to_be_read(tmp_path: Path) -> None:
    """Where much is to be hashed, another location is read first."""
    async with open_bench(tmp_path) as bench:
        plant(tmp_path, "other/f", *[f"folder/f{at}" for at in range(HASH_STEP * 2)])
        await bench.indexer.add(os.fsencode(bench.folder), "large", "content")
        await bench.indexer.add(os.fsencode(tmp_path / "other"), "small", "shallow")
        await bench.settle()
        ends = [about["location"] for event, about in bench.told if event == "scan_idle"]
        assert ends == ["small", "large"]
        hashed = "SELECT count(*) FROM entry WHERE content IS NOT NULL"
        assert bench.rows(hashed) == [(HASH_STEP * 2,)]


def test_what_could_not_be_read_is_counted(place: Path) -> None:
    """An unreadable folder is named in the progress and counted in the state of the location."""

    async def scan(place: Path) -> str:
        async with open_bench(place) as bench:
            plant(bench.folder, "locked/f", "open")
            (bench.folder / "locked").chmod(0)
            await bench.add()
            (bench.folder / "locked").chmod(0o700)
            (error,) = bench.indexer.progress[bench.location].errors.items
            is_it = error.path.endswith(b"/locked")
            return f"{bench.state()} {is_it} {error.message}"

    said = "('idle', '1 path could not be read') True Permission denied"
    assert as_nobody(lambda: trio.run(scan, place)) == said


async def test_the_command_that_accepts_deletes_can_be_pasted(tmp_path: Path) -> None:
    """A location of any name is quoted as a shell wants it."""
    async with open_bench(tmp_path, Settings(watch=False, mass_delete_count=1)) as bench:
        plant(bench.folder, "a", "b")
        path = os.fsencode(bench.folder)
        bench.location, _ = await bench.indexer.add(path, "my files; $HOME", "shallow")
        await bench.settle()
        (bench.folder / "a").unlink()
        (bench.folder / "b").unlink()
        await bench.rescan()
        _, why = bench.state()
        assert why is not None
        assert why.endswith("leaderless location scan 'my files; $HOME' --accept-deletes")


async def test_a_pass_that_was_asked_for_can_be_told_from_those_before(tmp_path: Path) -> None:
    """Asked twice while nothing runs is one pass; asked while it runs is one more."""
    async with open_bench(tmp_path) as bench:
        await bench.add()
        first = bench.indexer.request(bench.location)
        assert bench.indexer.request(bench.location) == first
        assert bench.indexer.ended[bench.location] < first
        await bench.settle()
        assert bench.indexer.ended[bench.location] == first
        assert bench.indexer.request(bench.location) == first + 1
