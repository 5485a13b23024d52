"""When work that needs the interpreter for long is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from leaderless.store.calm import Calm

if TYPE_CHECKING:
    from sqlalchemy.pool import PoolProxiedConnection

    from leaderless.store.transaction import Transaction
    from tests.replicas import Replica


async def test_it_is_calm_unless_a_write_is_at_its_work() -> None:
    """Who waits goes on once the write waits for the disk."""
    calm, seen = Calm(), []

    async def wait() -> None:
        await calm.wait()
        seen.append("calm")

    with trio.fail_after(1):
        await calm.wait()
    calm.end()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        calm.begin()
    assert seen == ["calm"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_store_is_not_calm_while_a_write_is_at_its_work(
    replicas: list[Replica], fails: bool
) -> None:
    """It is again as soon as that is over, whatever came of it."""
    store, seen = replicas[0].store, []
    token = trio.lowlevel.current_trio_token()

    async def look() -> None:
        with trio.move_on_after(0.01):
            await store.calm.wait()
            seen.append("calm")

    def work(_: Transaction) -> None:
        trio.from_thread.run(look, trio_token=token)
        if fails:
            raise ValueError("no")

    try:
        await store.write(work)
    except ValueError:
        seen.append("failed")
    assert seen == (["failed"] if fails else [])
    with trio.fail_after(1):
        await store.calm.wait()


async def test_a_store_is_calm_while_a_write_waits_for_the_disk(
    replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit takes long, and needs no interpreter: who waited goes on before it is over."""
    store, seen = replicas[0].store, []
    at_commit: list[list[str]] = []
    token = trio.lowlevel.current_trio_token()
    dialect = store._writer.dialect
    commit = dialect.do_commit

    async def wait() -> None:
        await store.calm.wait()
        seen.append("calm")

    async def settle() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)

    async def come_late() -> None:
        with trio.fail_after(5):
            await store.calm.wait()

    def looked_at(connection: PoolProxiedConnection) -> None:
        trio.from_thread.run(settle, trio_token=token)
        at_commit.append([*seen])
        trio.from_thread.run(come_late, trio_token=token)
        commit(connection)

    async with trio.open_nursery() as nursery:

        def work(_: Transaction) -> None:
            trio.from_thread.run_sync(nursery.start_soon, wait, trio_token=token)
            trio.from_thread.run(settle, trio_token=token)
            seen.append("worked")

        monkeypatch.setattr(dialect, "do_commit", looked_at)
        await store.write(work)
    assert at_commit[0] == ["worked", "calm"]
