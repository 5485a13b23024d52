"""Comparing all that two devices hold, over a link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.errors import TimedOutError, UnreachableError, UsageError
from leaderless.protocol import codec
from leaderless.protocol.messages import Compare, Compared
from leaderless.protocol.reconcile import Answer, Part, Range
from leaderless.store.store import Store
from leaderless.sync.comparing import FRESH_S, KEPT_S, Comparer, OutOfTurnError
from registry.changes import Create
from tests.cluster import Cluster, open_cluster
from tests.replicas import Replica, add_tree
from tests.store.passing import within

TAG = b"t" * 16
WHOLE = (Range(b"", b""),)


async def _in_sync(cluster: Cluster) -> None:
    """Let the first device have rows and a tag, and both prove that they hold the same."""
    a = cluster.nodes[0]
    add_tree(a.replica, 2_000)
    await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", TAG, {"color": "red"})]))
    await cluster.connect(0, 1)
    await cluster.until_in_sync((0, 1))


async def test_two_that_hold_the_same_find_nothing(tmp_path: Path) -> None:
    """In one round, and they know over how much."""
    async with open_cluster(tmp_path, 2) as cluster:
        await _in_sync(cluster)
        a, b = cluster.nodes
        found = await a.driver.compare(b.device)
        assert (found.differences, found.rounds, found.is_cut_short) == ((), 1, False)
        assert found.compared == 2_006


async def test_a_row_and_a_record_that_differ_are_named(tmp_path: Path) -> None:
    """Whoever asks; and what is on one side only."""
    async with open_cluster(tmp_path, 2) as cluster:
        await _in_sync(cluster)
        a, b = cluster.nodes
        within(b.replica, lambda c: c.exec_driver_sql("UPDATE record SET state = x'93909090'"))
        within(
            b.replica,
            lambda c: c.exec_driver_sql(
                "UPDATE entry SET size_bytes = 9 WHERE name = ?", (b"file7",)
            ),
        )
        within(
            b.replica, lambda c: c.exec_driver_sql("DELETE FROM entry WHERE name = ?", (b"file9",))
        )
        found = await a.driver.compare(b.device)
        assert sorted(item.model for item in found.differences) == ["entry", "entry", "tag"]
        assert [item.model for item in found.differences if item.there is None] == ["entry"]
        mirrored = await b.driver.compare(a.device)
        assert {item.uuid for item in mirrored.differences} == {
            item.uuid for item in found.differences
        }


async def test_who_is_not_connected_cannot_be_compared_with(tmp_path: Path) -> None:
    """The error says so."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        with pytest.raises(UnreachableError):
            await a.driver.compare(b.device)


async def test_a_link_that_ends_ends_the_comparison(replicas: list[Replica]) -> None:
    """And only one runs at a time."""
    comparer = Comparer(replicas[0].store, lambda _: None)

    async def ask() -> None:
        with pytest.raises(TimedOutError, match="lost"):
            await comparer.compare()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(UsageError):
            await comparer.compare()
        comparer.close()


async def test_a_device_that_never_answers_is_not_waited_for_long(
    replicas: list[Replica], autojump_clock: trio.testing.MockClock
) -> None:
    """The error says what happened."""
    comparer = Comparer(replicas[0].store, lambda _: None)
    with pytest.raises(TimedOutError, match="in time"):
        await comparer.compare()


@pytest.mark.parametrize(
    "answers", [(), (Answer(Range(b"", b""), (Part(b"", b"f" * 16),)),)], ids=["none", "one part"]
)
async def test_what_is_no_answer_ends_the_comparison(
    replicas: list[Replica], answers: tuple[Answer, ...]
) -> None:
    """It is the other side's fault, and named so."""
    comparer = Comparer(replicas[0].store, lambda _: comparer.heard(Compared(answers), 9))
    with pytest.raises(OutOfTurnError):
        await comparer.compare()


async def _until(sent: list[bytes], count: int) -> None:
    while len(sent) < count:
        await trio.lowlevel.checkpoint()


async def test_more_answers_than_questions_are_refused(replicas: list[Replica]) -> None:
    """One is kept beside that which is looked at; with no question at all it is passed over."""
    sent: list[bytes] = []
    comparer = Comparer(replicas[0].store, sent.append)
    comparer.heard(Compared(()), 9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_out_of_turn, comparer)
        await _until(sent, 1)
        await trio.testing.wait_all_tasks_blocked()
        comparer.heard(Compared(()), 9)
        comparer.heard(Compared(()), 9)
        with pytest.raises(OutOfTurnError):
            comparer.heard(Compared(()), 9)


async def _expect_out_of_turn(comparer: Comparer) -> None:
    with pytest.raises(OutOfTurnError):
        await comparer.compare()


class SlowStore:
    """A store that reads when it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.go = trio.Event()

    async def read(self, fn):  # noqa: ANN001, ANN201
        """Read, once that is allowed."""
        await self.go.wait()
        return await self._store.read(fn)


async def test_a_second_question_before_the_answer_is_refused(replicas: list[Replica]) -> None:
    """A peer can make us lay out everything once at a time."""
    sent: list[bytes] = []
    slow = SlowStore(replicas[0].store)
    comparer = Comparer(slow, sent.append)  # type: ignore[arg-type]
    comparer._laid_out = Comparer(replicas[0].store, sent.append)._laid_out  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(comparer.answer, Compare(WHOLE))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OutOfTurnError):
            await comparer.answer(Compare(WHOLE))
        slow.go.set()
        await _until(sent, 1)
        nursery.cancel_scope.cancel()
    assert isinstance(codec.decode(sent[0]), Compared)


async def test_what_was_laid_out_is_kept_for_the_next_question_and_not_for_ever(
    replicas: list[Replica], autojump_clock: trio.testing.MockClock
) -> None:
    """Answers within one comparison are of one moment; memory is given back."""
    owner = replicas[0]
    sent: list[bytes] = []
    comparer = Comparer(owner.store, sent.append)
    narrow = Compare((Range(b"", b"\xff" * 16),))
    async with trio.open_nursery() as nursery:
        for wait_s, question in ((0.0, Compare(WHOLE)), (50.0, narrow), (50.0, narrow)):
            await trio.sleep(wait_s)
            nursery.start_soon(comparer.answer, question)
            await _until(sent, len(sent) + 1)
            await trio.testing.wait_all_tasks_blocked()
            within(owner, lambda c: c.exec_driver_sql("DELETE FROM entry WHERE kind = 'file'"))
    await comparer.answer(narrow)
    counts = []
    for frame in sent:
        message = codec.decode(frame)
        assert isinstance(message, Compared)
        counts.append(sum(len(answer.items) for answer in message.answers))
    assert counts[0] == counts[1] == counts[2] == counts[3] + 5


class CountingStore:
    """A store that counts what is read, and takes its time for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.registry = store.registry
        self.reads = 0
        self.passes: Callable[[], None] = lambda: None
        self.go = trio.Event()
        self.go.set()

    async def read(self, fn):  # noqa: ANN001, ANN201
        """Read what is asked for."""
        self.reads += 1
        await self.go.wait()
        self.passes()
        return await self._store.read(fn)


@pytest.mark.parametrize(("takes_s", "fresh_s"), [(0.0, FRESH_S), (10.0, 40.0)])
async def test_what_was_laid_out_just_now_answers_who_begins_anew(
    replicas: list[Replica],
    mock_clock: trio.testing.MockClock,
    takes_s: float,
    fresh_s: float,
) -> None:
    """For some seconds, and longer where laying out takes long: a peer cannot keep us at it."""
    sent: list[bytes] = []
    store = CountingStore(replicas[0].store)
    store.passes = lambda: mock_clock.jump(takes_s)
    comparer = Comparer(store, sent.append)  # type: ignore[arg-type]
    reads = []
    async with trio.open_nursery() as nursery:
        for count, wait_s in enumerate((0.0, fresh_s - 0.5, 0.5), start=1):
            mock_clock.jump(wait_s)
            nursery.start_soon(comparer.answer, Compare(WHOLE))
            await _until(sent, count)
            await trio.testing.wait_all_tasks_blocked()
            reads.append(store.reads)
        nursery.cancel_scope.cancel()
    assert reads == [1, 1, 2]


async def test_however_much_is_asked_one_task_remembers(replicas: list[Replica]) -> None:
    """Questions leave nothing behind but what was laid out."""
    sent: list[bytes] = []
    comparer = Comparer(replicas[0].store, sent.append)
    async with trio.open_nursery() as nursery:
        for count in range(1, 6):
            nursery.start_soon(comparer.answer, Compare(WHOLE))
            await _until(sent, count)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()


async def test_what_is_being_asked_is_not_forgotten_meanwhile(
    replicas: list[Replica], mock_clock: trio.testing.MockClock
) -> None:
    """Where laying out anew takes longer than it is kept, it is kept for the next question."""
    sent: list[bytes] = []
    store = CountingStore(replicas[0].store)
    comparer = Comparer(store, sent.append)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(comparer.answer, Compare(WHOLE))
        await _until(sent, 1)
        await trio.testing.wait_all_tasks_blocked()
        store.go = trio.Event()
        mock_clock.jump(KEPT_S - 1)
        nursery.start_soon(comparer.answer, Compare(WHOLE))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(2 * KEPT_S)
        await trio.testing.wait_all_tasks_blocked()
        store.go.set()
        await _until(sent, 2)
        nursery.start_soon(comparer.answer, Compare((Range(b"", b"\xff" * 16),)))
        await _until(sent, 3)
        nursery.cancel_scope.cancel()
    assert store.reads == 2
