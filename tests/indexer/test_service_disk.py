"""The indexer on a full disk: it stops, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.indexer.bench import Bench, make_bench, open_bench
from tests.indexer.ground import plant
from tests.limits import MIB, limited

if TYPE_CHECKING:
    from pathlib import Path

FILES = 6_000


async def _until_ill(bench: Bench) -> None:
    with trio.fail_after(60):
        await bench.store.disk.until_ill()


async def test_a_pass_that_a_full_disk_ends_is_done_anew_when_there_is_room(tmp_path: Path) -> None:
    """Nobody asks for it; whoever waits for the pass waits until all is there."""
    async with open_bench(tmp_path) as bench:
        for at in range(FILES):
            (bench.folder / f"a name that takes some room in a database {at}").touch()
        with limited(MIB):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bench.add)
                await _until_ill(bench)
                await trio.testing.wait_all_tasks_blocked()
                assert not bench.indexer.ended[bench.location]
                nursery.cancel_scope.cancel()
        assert len(bench.names()) < FILES
        assert await bench.store.heal()
        await bench.settle()
        assert len(bench.names()) == FILES + 1
        assert bench.indexer.ended[bench.location] == 1
        assert bench.state() == ("idle", None)


async def test_nothing_is_tried_while_the_disk_is_full(tmp_path: Path) -> None:
    """A pass that is wanted meanwhile begins when the disk is well."""
    async with make_bench(tmp_path) as bench:
        plant(bench.folder, "one")
        async with bench.run():
            await bench.add()
            bench.told.clear()
            with limited(1):
                await bench.store.heal()
            bench.indexer.request(bench.location)
            await trio.testing.wait_all_tasks_blocked()
            assert bench.events() == []
            assert await bench.store.heal()
            await bench.settle()
            assert "scan_started" in bench.events()
