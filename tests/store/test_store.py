"""The store: one writer, some readers, and a word to whoever waits for changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection

from entities import MODELS
from leaderless.ids import RecordIds
from leaderless.store import Store, Transaction, create_store, meta, open_store
from leaderless.store.engine import ConstraintError, NewerSchemaError, StoreError
from leaderless.store.store import AlreadyThereError
from registry.changes import Create, Incarnation
from registry.models import Registry
from tests.replicas import Replica, SteppedClock, key_of, query_file
from tests.store.passing import dump

_FACTS = "SELECT value FROM meta WHERE name = 'fact'"
DEADLINE_S = 30.0


def _fact(value: str) -> Callable[[Transaction], None]:
    return lambda tx: meta.put(tx.conn, "fact", value)


def _read_fact(connection: Connection) -> object:
    return connection.exec_driver_sql(_FACTS).scalar()


class Held:
    """A piece of work in a worker thread that stands still until the test lets it go."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self._go_on = threading.Event()

    def wait(self) -> None:
        """Say that the thread is here, and wait to be let go; for the worker thread."""
        trio.from_thread.run_sync(self.begun.set)
        assert self._go_on.wait(DEADLINE_S)

    def let_go(self) -> None:
        """Let the thread go on."""
        self._go_on.set()

    def write(self, tx: Transaction) -> None:
        """Write a fact, once let go."""
        self.wait()
        meta.put(tx.conn, "fact", "slow")


def _opened(replica: Replica) -> AbstractAsyncContextManager[Store]:
    ids, sign = RecordIds(replica.clock), replica.identity.sign
    return open_store(replica.store.path, Registry(MODELS), replica.clock, ids, sign)


# --- writing --------------------------------------------------------------------------------------


async def test_a_write_returns_what_its_function_returns(replica: Replica) -> None:
    """The caller gets the result once it is durable."""
    found = await replica.store.write(lambda tx: tx.own_device)
    assert found == replica.identity.device


async def test_what_was_written_is_read(replica: Replica) -> None:
    """The next read sees it, as does any other connection."""
    await replica.store.write(_fact("new"))
    assert await replica.store.read(_read_fact) == "new"
    assert query_file(replica.store.path, _FACTS) == [("new",)]


async def test_a_write_that_raises_changes_nothing(replica: Replica) -> None:
    """Rows, commit, clock and cursor are as before, whatever was written until then."""
    before = dump(replica, ["SELECT * FROM meta", "SELECT * FROM feed", "SELECT * FROM tag"])

    def write(tx: Transaction) -> None:
        tx.commit("tag.create", [Create("tag", b"1" * 16, {})])
        raise ArithmeticError("on second thought")

    with pytest.raises(ArithmeticError, match="on second thought"):
        await replica.store.write(write)
    after = dump(replica, ["SELECT * FROM meta", "SELECT * FROM feed", "SELECT * FROM tag"])
    assert after == before


async def test_the_writer_goes_on_after_an_error(replica: Replica) -> None:
    """One write that fails does not spoil the next one."""
    with pytest.raises(ZeroDivisionError):
        await replica.store.write(lambda _: 1 // 0)
    await replica.store.write(_fact("new"))
    assert await replica.store.read(_read_fact) == "new"


async def test_nobody_hears_of_a_write_that_failed(replica: Replica) -> None:
    """Listeners are called for what is durable alone."""
    heard: list[str] = []
    replica.store.listen(lambda: heard.append("write"))
    with pytest.raises(ZeroDivisionError):
        await replica.store.write(lambda _: 1 // 0)
    assert heard == []


async def test_whoever_listens_hears_of_every_write(replica: Replica) -> None:
    """Each listener is called once a write is durable."""
    heard: list[object] = []
    replica.store.listen(lambda: heard.append(query_file(replica.store.path, _FACTS)))
    replica.store.listen(lambda: heard.append("second"))
    await replica.store.write(_fact("new"))
    assert heard == [[("new",)], "second"]


async def test_whoever_follows_is_told_what_every_write_left(replica: Replica) -> None:
    """It is read once the write is durable and before the next one, and told in their order."""
    told: list[object] = []

    def look(database: Connection) -> object:
        return _read_fact(database), query_file(replica.store.path, _FACTS)

    replica.store.follow(look, told.append)
    async with trio.open_nursery() as nursery:
        for value in ("a", "b"):
            nursery.start_soon(replica.store.write, _fact(value))
    assert sorted(map(str, told)) == ["('a', [('a',)])", "('b', [('b',)])"]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO feed (feed, received_hash, applied_hash) VALUES (x'00', x'', x'')",
         ConstraintError),
        ("INSERT INTO tombstone (uuid, model, epoch, rev) VALUES (zeroblob(16), 'x', 99, 1)",
         ConstraintError),
        ("INSERT INTO nowhere VALUES (1)", StoreError),
    ],
)  # fmt: skip
async def test_errors_of_the_database_have_names(
    replica: Replica, statement: str, error: type[Exception]
) -> None:
    """What the schema refuses is told from a database that cannot be written."""
    with pytest.raises(error):
        await replica.store.write(lambda tx: tx.conn.exec_driver_sql(statement))


@pytest.mark.parametrize("within", ["apply", "commit"])
async def test_a_full_disk_is_named_wherever_it_is_met(replica: Replica, within: str) -> None:
    """It is the database's error, not one of the rows, whose values it does not tell."""
    await replica.store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 1"))
    rows = [(bytes([at]) * 16, f"secret{at}" * 99, "disk") for at in range(200)]

    def write(tx: Transaction) -> None:
        if within == "apply":
            tx.put("volume", ("uuid", "fingerprint", "display_name"), rows)
        meta.put(tx.conn, "fact", b"x" * 99_999)

    with pytest.raises(StoreError, match="full") as caught:
        await replica.store.write(write)
    assert "secret" not in caught.value.message
    await replica.store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count = 99999"))
    await replica.store.write(write)


async def test_writes_come_one_after_another(replica: Replica) -> None:
    """A second write sees what the first one left, though both were asked for at once."""

    def count(tx: Transaction) -> None:
        meta.put(tx.conn, "count", (meta.get(tx.conn, "count") or 0) + 1)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(replica.store.write, count)
    query = "SELECT value FROM meta WHERE name = 'count'"
    assert query_file(replica.store.path, query) == [(20,)]


async def test_a_caller_that_is_cancelled_in_the_middle_has_written(replica: Replica) -> None:
    """A transaction that began is finished, and whoever listens hears of it."""
    held, heard = Held(), []
    replica.store.listen(lambda: heard.append("write"))
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            await replica.store.write(held.write)

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await held.begun.wait()
            scope.cancel()
            held.let_go()
    assert query_file(replica.store.path, _FACTS) == [("slow",)]
    assert heard == ["write"]


async def test_a_caller_that_is_cancelled_in_the_queue_has_not_written(replica: Replica) -> None:
    """Who gives up before its turn leaves nothing, and does not hold up the next one."""
    held = Held()
    scope = trio.CancelScope()

    async def give_up(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with scope:
            task_status.started()
            await replica.store.write(_fact("given up"))

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.store.write, held.write)
            await held.begun.wait()
            await nursery.start(give_up)
            scope.cancel()
            held.let_go()
        assert query_file(replica.store.path, _FACTS) == [("slow",)]
        await replica.store.write(_fact("next"))
    assert query_file(replica.store.path, _FACTS) == [("next",)]


# --- reading --------------------------------------------------------------------------------------


async def test_a_read_cannot_write(replica: Replica) -> None:
    """Its connection refuses, and the next read works."""
    with pytest.raises(Exception, match="readonly"):
        await replica.store.read(lambda connection: meta.put(connection, "fact", "x"))
    assert await replica.store.read(_read_fact) is None


async def test_reads_do_not_wait_for_the_writer(replica: Replica) -> None:
    """While a write is under way, others read what was there before it."""
    held = Held()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.store.write, held.write)
            await held.begun.wait()
            found = await replica.store.read(_read_fact)
            held.let_go()
    assert found is None


async def test_reads_run_side_by_side(replica: Replica) -> None:
    """A slow read holds up no other."""
    slow = Held()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.store.read, lambda _: slow.wait())
            await slow.begun.wait()
            await replica.store.read(_read_fact)
            slow.let_go()


async def test_more_reads_than_connections_wait_for_their_turn(replica: Replica) -> None:
    """However many ask at once, each is answered."""
    found: list[object] = []

    async def read() -> None:
        found.append(await replica.store.read(_read_fact))

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(read)
    assert found == [None] * 20


# --- facts ----------------------------------------------------------------------------------------


async def test_an_open_store_knows_what_it_is_of(replica: Replica) -> None:
    """Library, device and incarnation are read once, when it is opened."""
    async with _opened(replica) as store:
        assert store.own_device == replica.identity.device
        assert (store.library, store.own_epoch) == (replica.store.library, 1)


async def test_facts_that_a_write_changed_are_read_again(replica: Replica) -> None:
    """After a write that says so, the store is of another library."""

    def write(tx: Transaction) -> None:
        meta.put(tx.conn, meta.LIBRARY, b"n" * 16)
        tx.facts_changed = True

    await replica.store.write(write)
    assert replica.store.library == b"n" * 16


async def test_members_are_those_of_the_statements(replicas: list[Replica]) -> None:
    """Every replica of a library lists the same devices."""
    members = [await replica.store.membership(key_of) for replica in replicas]
    keys = {replica.identity.public_key for replica in replicas}
    assert [set(item.members) for item in members] == [keys] * 3


def test_times_are_those_of_the_given_clock(replica: Replica) -> None:
    """The store has no clock of its own."""
    replica.clock.ms += 17
    assert replica.store.now_ms() == replica.clock.ms


# --- making, opening, closing ---------------------------------------------------------------------


def _create(path: Path) -> None:
    create_store(path, SteppedClock(), bytes(16), Incarnation(1, bytes(8)), bytes(16), ())


def test_a_library_is_not_made_over_another(replica: Replica) -> None:
    """Where a file stands, none is made, and it stays as it is."""
    before = dump(replica)
    with pytest.raises(AlreadyThereError):
        _create(replica.store.path)
    assert dump(replica) == before


def test_a_library_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The new file is closed to others, and nothing stands beside it."""
    _create(tmp_path / "library.db")
    (made,) = tmp_path.iterdir()
    assert made.stat().st_mode & 0o777 == 0o600


async def test_what_stands_beside_an_open_library_is_closed_too(replica: Replica) -> None:
    """The write-ahead log holds the same data, for the same eyes."""
    await replica.store.write(_fact("new"))
    found = {
        item.name: item.stat().st_mode & 0o777
        for item in replica.store.path.parent.glob("library0.db*")
    }
    assert set(found.values()) == {0o600}
    assert "library0.db-wal" in found


async def test_a_closed_store_leaves_one_file(replica: Replica) -> None:
    """The write-ahead log is folded in by the last to close."""
    replica.store.close()
    async with _opened(replica) as store:
        await store.write(_fact("new"))
    beside = [item.name for item in replica.store.path.parent.glob("library0.db?*")]
    assert beside == []
    assert query_file(replica.store.path, _FACTS) == [("new",)]


async def test_a_file_of_a_newer_version_is_not_opened(replica: Replica) -> None:
    """The error says so, and every connection is closed again."""
    replica.store.write_here(
        lambda tx: tx.conn.exec_driver_sql("UPDATE schema_version SET version_num = '9999'")
    )
    replica.store.close()
    with pytest.raises(NewerSchemaError):
        async with _opened(replica):
            pass
    assert list(replica.store.path.parent.glob("library0.db-wal")) == []


async def test_what_blocks_is_done_by_the_runner_that_was_given(replica: Replica) -> None:
    """Opening, reading, writing and closing leave the event loop by it alone."""
    done: list[int | float | None] = []

    async def inline(work: Any, /, *, limiter: trio.CapacityLimiter | None = None) -> Any:
        done.append(None if limiter is None else limiter.total_tokens)
        await trio.lowlevel.checkpoint()
        return work()

    ids, sign = RecordIds(replica.clock), replica.identity.sign
    path = replica.store.path
    async with open_store(path, Registry(MODELS), replica.clock, ids, sign, run=inline) as store:
        await store.write(_fact("new"))
        assert await store.read(_read_fact) == "new"
    assert done == [None, 1, 3, None]


async def test_a_write_from_another_thread_waits_for_its_turn(replica: Replica) -> None:
    """Whoever writes without a loop meets no transaction in the middle."""
    began, may_end = threading.Event(), threading.Event()

    def slow(_: Transaction) -> str:
        began.set()
        assert may_end.wait(60)
        return "slow"

    found: list[str] = []

    async def write() -> None:
        found.append(await replica.store.write(slow))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.to_thread.run_sync(began.wait)
        threading.Timer(0, may_end.set).start()
        found.append(replica.store.write_here(lambda _: "here"))
    assert sorted(found) == ["here", "slow"]
