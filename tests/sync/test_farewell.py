"""What a device is told that is no member any more, and what is heard of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.daemon.members import admission
from leaderless.protocol import codec
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import Bye, Hello, Message, Statements
from leaderless.store import meta
from leaderless.store.statements import statements, take_statements
from leaderless.sync.farewell import AGAIN_S
from leaderless.transport.base import ConnectionLostError
from leaderless.transport.memory import MemoryLink, memory_pair
from registry.changes import Incarnation
from tests.cluster import Cluster, Node, open_cluster, rows
from tests.replicas import make_replicas
from tests.store.passing import within
from tests.sync.test_revoked import revoke


def _knows(node: Node) -> bool:
    """Return whether a device knows that it is no member."""
    return rows(node, "SELECT 1 FROM meta WHERE name = 'revoked'") != []


async def _apart(cluster: Cluster) -> None:
    await cluster.until(lambda: not any(node.driver.exchange.peers for node in cluster.nodes))


async def _call(listener: Node, caller: Node, *said: Message) -> list[Message]:
    """Call a device by hand, say something, and return all that it says until it goes."""
    ours, theirs = memory_pair(
        caller.replica.identity.public_key, listener.replica.identity.public_key
    )
    heard: list[Message] = []

    async def use() -> None:
        assert not await listener.driver.run_link(theirs)
        await theirs.aclose()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            try:
                for message in said:
                    await ours.send(codec.encode(message))
                while True:
                    heard.append(codec.decode(await ours.receive()))
            except ConnectionLostError:
                await ours.aclose()
    return heard


@pytest.mark.parametrize("caller", [0, 1])
async def test_who_was_off_when_it_was_revoked_hears_why(
    clock: trio.testing.MockClock, tmp_path: Path, caller: int
) -> None:
    """From any member that it calls, or that calls it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await revoke(a, b)
        assert not _knows(b)
        await cluster.connect(caller, 1 - caller)
        await cluster.until(lambda: _knows(b))
        await _apart(cluster)
        assert ("member_revoked", {"device": b.device}) in b.told
        assert not b.driver.applier.is_member(b.device)
        assert "peer_error" not in a.kinds() + b.kinds()


async def test_a_revoked_device_tells_a_member_that_does_not_know(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """It says that it is none any more, and the member sees to it as if an admin had said so."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        await revoke(a, b)
        await cluster.connect(0, 1)
        await cluster.until(lambda: _knows(b))
        await cluster.connect(2, 1)
        await cluster.until(lambda: not c.driver.applier.is_member(b.device))
        await _apart(cluster)


@pytest.mark.parametrize("caller", [0, 1])
async def test_of_two_that_revoke_each_other_the_junior_hears_of_it(
    clock: trio.testing.MockClock, tmp_path: Path, caller: int
) -> None:
    """Each takes the other for no member; by what both say the senior is one."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await revoke(a, b)
        await revoke(b, a)
        assert not _knows(b)
        await cluster.connect(caller, 1 - caller)
        await cluster.until(lambda: _knows(b))
        assert not _knows(a)
        assert a.driver.applier.is_member(a.device)


async def test_nothing_else_is_heard_of_a_former_member(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Whom it has admitted, without having seen that it was revoked, is not taken in."""
    replicas = make_replicas(tmp_path, 3)
    async with open_cluster(tmp_path, 2, replicas[:2]) as cluster:
        a, b = cluster.nodes
        identity, eve = b.replica.identity, replicas[2].identity
        said = admission(
            *(identity, b.driver.applier.members, eve.certificate_der, "eve"),
            *(b.store.now_ms(), b"m" * 16),
        )
        b.driver.applier.members = await b.store.write(lambda tx: take_statements(tx, [said]))
        await revoke(a, b)
        known = len(within(a.replica, statements))
        await _call(a, b, Statements((said,)))
        assert len(within(a.replica, statements)) == known
    replicas[2].store.close()


async def test_a_statement_that_is_forged_ends_the_call(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Nothing is taken from it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        (first, *_) = within(a.replica, statements)
        await revoke(a, b)
        heard = await _call(a, b, Statements((Signed(first.body, bytes(64)),)))
        assert [said.code for said in heard if isinstance(said, Bye)] == ["revoked", "unverified"]


async def test_an_old_version_is_told_in_words_alone(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Statements of kinds that it does not know would end the connection before a reason is given."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await revoke(a, b)
        life = Incarnation(1, bytes(8))
        hello = Hello((1, 0), a.store.library, life, {}, bytes(32), bytes(32), 0, "old")
        heard = await _call(a, b, hello)
        assert [type(said) for said in heard] == [Bye]


async def test_nobody_is_told_at_every_call(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """Who calls again at once is let go without a word; later it is told once more."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await revoke(a, b)
        assert [type(said) for said in await _call(a, b)] == [Statements, Bye]
        assert await _call(a, b) == []
        await trio.sleep(AGAIN_S)
        assert [type(said) for said in await _call(a, b)] == [Statements, Bye]


async def test_a_caller_that_chatters_is_not_heard_for_ever(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """A few messages are read in wait for its statements."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await revoke(a, b)
        heard = await _call(a, b, *[Bye("x", "y")] * 9)
        assert [type(said) for said in heard] == [Statements, Bye]


async def test_both_sides_of_a_rest_know_that_it_is_no_time_to_call(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Who rests a peer does not call it, and who is told to rest waits; later they talk."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        a.driver.exchange.broke_a_rule(b.device, trio.current_time())
        went_well = await _meet(a, b)
        assert went_well == [False, False]
        await trio.sleep(1)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))


async def test_who_was_cloned_and_who_calls_it_wait(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """A person has to say which of the machines goes on."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await a.store.write(lambda tx: meta.put(tx.conn, meta.CLONED, 1))
        await cluster.until(lambda: a.driver.exchange.ours.life == "cloned")
        assert await _meet(a, b) == [False, False]
        assert (a.driver.may_call(), b.driver.may_call()) == (False, True)


async def test_of_two_connections_the_one_that_goes_is_no_refusal(
    clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """Nothing is wrong with either side."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        ended: list[bool] = []
        async with trio.open_nursery() as nursery:
            for one, other in ((a, b), (b, a)):
                nursery.start_soon(_use, one, other, ended)
            await cluster.until(lambda: len(ended) == 2)
            nursery.cancel_scope.cancel()
        assert ended == [True, True]


async def _meet(a: Node, b: Node) -> list[bool]:
    """Connect two devices, and return of each whether the other may be called again at once."""
    ended: list[bool] = []
    with trio.fail_after(30):
        await _use(a, b, ended)
    return ended


async def _use(a: Node, b: Node, ended: list[bool]) -> None:
    ends = memory_pair(a.replica.identity.public_key, b.replica.identity.public_key)

    async def run(node: Node, end: MemoryLink) -> None:
        ended.append(await node.driver.run_link(end))
        await end.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, a, ends[0])
        nursery.start_soon(run, b, ends[1])
