"""Work that is done when it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from leaderless.store.disk import DiskFullError
from leaderless.store.engine import StoreError
from leaderless.sync.errand import Errand

OWN = b"d" * 16


class _Desk:
    """Work that ends as a test wants it, and what was heard of it."""

    def __init__(self) -> None:
        self.begun = 0
        self.heard: list[object] = []
        self.failure: Exception | None = None
        self.may_end = trio.Event()
        self.may_end.set()

    async def work(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return number

    def tell(self, kind: str, about: Mapping[str, object]) -> None:
        self.heard.append((kind, about))


@asynccontextmanager
async def _kept(desk: _Desk) -> AsyncIterator[Errand[int]]:
    errand = Errand(desk.work, desk.heard.append, OWN, desk.tell)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(errand.keep)
        await wait_all_tasks_blocked()
        yield errand
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_nothing_is_done_that_nobody_asked_for() -> None:
    """It waits."""
    desk = _Desk()
    async with _kept(desk):
        pass
    assert (desk.begun, desk.heard) == (0, [])


async def test_what_is_asked_for_twice_is_done_once() -> None:
    """And once more when it is asked for again."""
    desk = _Desk()
    async with _kept(desk) as errand:
        errand.ask()
        errand.ask()
        await wait_all_tasks_blocked()
        assert desk.heard == [1]
        errand.ask()
    assert desk.heard == [1, 2]


async def test_what_is_asked_for_while_it_is_done_is_done_again() -> None:
    """The work may have looked before there was a reason."""
    desk = _Desk()
    desk.may_end = trio.Event()
    async with _kept(desk) as errand:
        errand.ask()
        await wait_all_tasks_blocked()
        errand.ask()
        await wait_all_tasks_blocked()
        assert desk.begun == 1
        desk.may_end.set()
    assert desk.heard == [1, 2]


@pytest.mark.parametrize(
    ("failure", "code"), [(DiskFullError("no space"), "disk_full"), (StoreError("busy"), "store")]
)
async def test_a_database_that_takes_nothing_is_told_of_and_asked_again(
    failure: StoreError, code: str
) -> None:
    """By whoever asks next, not at once."""
    desk = _Desk()
    desk.failure = failure
    async with _kept(desk) as errand:
        errand.ask()
        await wait_all_tasks_blocked()
        assert desk.heard == [("not_kept", {"device": OWN, "code": code})]
        desk.failure = None
        errand.ask()
    assert desk.heard[1:] == [2]


async def test_what_nobody_expects_ends_it() -> None:
    """It is not told as if the database were to blame."""
    desk = _Desk()
    desk.failure = RuntimeError("a bug")
    with pytest.RaisesGroup(RuntimeError):
        async with _kept(desk) as errand:
            errand.ask()
    assert desk.heard == []
