"""When something is forgotten, by a daemon that looks after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from leaderless.config import OPTIONS
from leaderless.daemon.forgetting import DAY_MS, FIRST_S, LOOK_S, Forgetting, Forgot
from leaderless.protocol.retention import Terms
from leaderless.store import forgetting as pieces
from leaderless.store import own_words
from registry.changes import Create, Update
from tests.replicas import Replica, query_file

if TYPE_CHECKING:
    from leaderless.store import Transaction

TAG = b"t" * 16
TERMS = Terms(30 * DAY_MS, 10, 180 * DAY_MS, 365 * DAY_MS)
BODIES = "SELECT count(*) FROM commit_log WHERE body IS NOT NULL"


@pytest.fixture
def autojump_clock() -> MockClock:
    """Let time jump to what comes next, once the writer's thread is done."""
    return MockClock(autojump_threshold=0.05)


def _forgetting(replica: Replica, told: list[Any], terms: Terms = TERMS) -> Forgetting:
    def tell(kind: str, data: Any) -> None:
        told.append((kind, dict(data)))

    return Forgetting(replica.store, terms, lambda: (), lambda: (), tell)


async def _edit(replica: Replica, times: int) -> None:
    if not query_file(replica.store.path, "SELECT 1 FROM tag"):
        await replica.store.write(lambda tx: tx.commit("test", [Create("tag", TAG)]))
        times -= 1
    for at in range(times):
        edit = Update("tag", TAG, {"description": str(at)})
        await replica.store.write(lambda tx, edit=edit: tx.commit("test", [edit]))  # type: ignore[misc]


def _bodies(replica: Replica) -> int:
    ((count,),) = query_file(replica.store.path, BODIES)
    return int(count)


async def test_a_pass_leaves_the_newest_and_what_stands(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """One says that the record is there, ten are the newest, one is what the oldest replaced."""
    await _edit(replica, 40)
    forgot = await _forgetting(replica, []).run(whole=True)
    assert (forgot, _bodies(replica)) == (Forgot(28, 0), 12)


async def test_a_few_are_left_for_another_time(replica: Replica, autojump_clock: MockClock) -> None:
    """To look through all records for little is worth it once a day."""
    await _edit(replica, 40)
    forgetting = _forgetting(replica, [])
    assert (await forgetting.run()).bodies == 28
    await _edit(replica, 40)
    assert (await forgetting.run()).bodies == 0
    replica.clock.ms += DAY_MS
    assert (await forgetting.run()).bodies == 40


async def test_old_words_of_our_own_are_forgotten_once_a_day(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """The newest are kept; that there are too many for a few hours harms nobody."""
    words = [(rev, bytes(16)) for rev in range(2, own_words.KEPT + 5)]

    def say(transaction: Transaction) -> None:
        transaction.conn.exec_driver_sql("INSERT INTO own_word VALUES (?, ?)", words)

    forgetting = _forgetting(replica, [])
    await forgetting.run()
    await replica.store.write(say)
    await forgetting.run()
    kept = "SELECT min(rev), count(*) FROM own_word"
    assert query_file(replica.store.path, kept) == [(1, own_words.KEPT + 4)]
    replica.clock.ms += DAY_MS
    await forgetting.run()
    assert query_file(replica.store.path, kept) == [(5, own_words.KEPT)]


async def test_nothing_is_done_where_nothing_happens(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """A store that nobody writes to is not even looked at; a day later it is, once."""
    told: list[Any] = []
    forgetting = _forgetting(replica, told)
    passes: list[int] = []
    run = forgetting.run

    async def counted(*, whole: bool = False) -> Forgot:
        passes.append(replica.clock.ms)
        return await run(whole=whole)

    forgetting.run = counted  # type: ignore[method-assign]
    await _edit(replica, 30)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forgetting.keep)
        await trio.sleep(FIRST_S + 10 * LOOK_S + 5)
        assert (len(passes), told) == (
            1,
            [("forgot", {"bodies": 18, "losses": 0, "tombstones": 0})],
        )
        replica.clock.ms += DAY_MS
        await trio.sleep(10 * LOOK_S)
        assert len(passes) == 2
        await _edit(replica, 1)
        await trio.sleep(2 * LOOK_S)
        assert len(passes) == 3
        nursery.cancel_scope.cancel()


async def test_a_full_disk_ends_nothing(replica: Replica, autojump_clock: MockClock) -> None:
    """What cannot be written is tried again."""
    await _edit(replica, 30)
    told: list[Any] = []
    _query_only(replica, "ON")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_forgetting(replica, told).keep)
        await trio.sleep(FIRST_S + 5)
        assert [kind for kind, _ in told] == ["not_forgotten"]
        _query_only(replica, "OFF")
        await trio.sleep(LOOK_S)
        assert [kind for kind, _ in told] == ["not_forgotten", "forgot"]
        nursery.cancel_scope.cancel()


def _query_only(replica: Replica, value: str) -> None:
    """Have the writer's connection refuse every write, as a disk does that is read-only."""
    connection = replica.store._writer.raw_connection()
    connection.driver_connection.execute(f"PRAGMA query_only = {value}")  # type: ignore[union-attr]
    connection.close()


def test_the_options_are_those_that_people_are_told_of() -> None:
    """How long things are kept is said in the configuration, with these defaults."""
    named = ("history_days", "history_commits", "lease_days", "journal_days")
    assert {item.name: item.default for item in OPTIONS if item.name in named} == dict(
        zip(named, (30, 1_000, 180, 365), strict=True)
    )
    assert pieces.COMMITS <= 1_000  # a piece never keeps an edit waiting for long
