"""Forks at rest: where commits go, whatever order they come in, and what positions are called then."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from leaderless.daemon.members import revocation
from leaderless.errors import UsageError
from leaderless.protocol.packing import pack
from leaderless.store import log, meta, revocations
from leaderless.store.rebuild import rebuild
from leaderless.store.statements import take_statements
from registry.changes import Create, Delete, Dependency, Edit, FeedId, Lock, Unlock, Update
from tests.replicas import Replica
from tests.store.passing import (
    chained,
    log_of,
    own_feed,
    signed_anew,
    store_commits,
    within,
)

TAG, OTHER = b"t" * 16, b"u" * 16


def _write(replica: Replica, *edits: Edit) -> list[log.Received]:
    """Let a replica write a commit of each edit; return all of its feed."""
    for edit in edits:
        replica.store.write_here(lambda tx: tx.commit("t", [edit]))  # noqa: B023
    return log_of(replica, own_feed(replica))


def _feeds(replica: Replica, life: bytes) -> dict[bytes, tuple[int, int, int | None]]:
    """Return how much is there of each branch of a feed."""
    found = within(replica, log.feeds)
    return {
        feed.feed[28:32]: (feed.received, feed.applied, feed.forked)
        for feed in found
        if feed.feed.startswith(life)
    }


_MEMORY = (
    "SELECT model, uuid, state, deaths, remains FROM record ORDER BY uuid",
    "SELECT record, field, subkey, value, loser FROM journal ORDER BY 1, 2, 3, 5",
    "SELECT uuid, color, icon FROM tag ORDER BY uuid",
)


def _memory(replica: Replica) -> tuple[bytes, list[Any]]:
    """Return the shared set hash, all records with what stands beside them, and what they show."""

    def read(connection: Any) -> tuple[bytes, list[Any]]:
        rows = [connection.exec_driver_sql(query).all() for query in _MEMORY]
        return meta.get(connection, meta.SHARED_HASH), rows

    return within(replica, read)


def _is_as_rebuilt(replica: Replica) -> None:
    registry = replica.store.registry
    assert within(replica, lambda c: rebuild(c, registry, 0)).differences == ()


def _other(author: Replica, item: log.Received, *after: log.Received) -> list[log.Received]:
    """Return another commit in the place of one, and others chained behind it."""
    first = signed_anew(author.identity, item, command="other")
    return chained(author.identity, first, *after)


def test_a_fork_of_a_branch_ends_that_branch(replicas: list[Replica]) -> None:
    """In whatever order the commits of three branches come, they end in the same feeds."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), *[Update("tag", TAG, {"color": x}) for x in "abcd"])
    early = _other(a, made[1], made[2])
    late = _other(a, made[3], made[4])
    streams = (made, [made[0], *early], [*made[:3], *late])
    for order, replica in zip(itertools.permutations(streams), (b, c), strict=False):
        for stream in order:
            store_commits(replica, *stream)
    life = made[0].header.feed[:28]
    assert (
        _feeds(b, life)
        == _feeds(c, life)
        == {
            bytes(4): (1, 1, 2),
            made[1].hash[:4]: (3, 3, 4),
            early[0].hash[:4]: (3, 3, None),
            made[3].hash[:4]: (5, 5, None),
            late[0].hash[:4]: (5, 5, None),
        }
    )
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(b)


def test_every_order_gives_the_same_memory(replicas: list[Replica]) -> None:
    """What took effect before the fork was known is renamed."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), Create("tag", OTHER, {}), Delete("tag", OTHER))
    twin = _other(a, made[1], made[2])
    store_commits(b, *made, made[0], *twin)
    store_commits(c, made[0], *twin, *made)
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(c)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_fork_within_a_command_keeps_nobody_waiting(replicas: list[Replica], parts: int) -> None:
    """Only who lies signs one: who builds on a branch of it reaches those that took nothing before."""
    a, b, c = replicas
    colors = [Update("tag", TAG, {"color": x}) for x in "abc"]
    made = _write(a, Create("tag", TAG, {}), *colors[:parts])
    about = {"command_id": made[1].header.command_id, "parts": parts}
    marked = [
        signed_anew(a.identity, item, part=at, **about) for at, item in enumerate(made[1:], start=1)
    ]
    whole = chained(a.identity, made[0], *marked)
    twin = _other(a, whole[2])
    store_commits(b, *whole)
    built = _write(b, Update("tag", TAG, {"icon": "i"}))
    store_commits(c, *whole[:2], *twin, *whole[2:])
    store_commits(c, *built)
    store_commits(b, *twin)
    assert _feeds(c, own_feed(b)[:28]) == {bytes(4): (1, 1, None)}
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(c)


def test_a_delete_takes_the_dot_of_the_branch_that_its_author_had_seen(
    replicas: list[Replica],
) -> None:
    """The same record made at the same number of the other branch lives."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), Create("tag", OTHER, {"color": "red"}))
    twin = _other(a, made[1])
    store_commits(b, *made)
    gone = _write(b, Delete("tag", OTHER))
    for replica, streams in ((b, (twin,)), (c, (made[:1], twin, gone, made))):
        for stream in streams:
            store_commits(replica, *stream)
    assert _memory(b) == _memory(c)
    alive = "SELECT count(*) FROM tag WHERE color = 'red'"
    assert within(c, lambda conn: conn.exec_driver_sql(alive).scalar()) == 1
    _is_as_rebuilt(b)


def test_a_lock_in_a_branch_keeps_its_guard(replicas: list[Replica]) -> None:
    """Edits under it, and its unlock, come out alike before and after the fork is known."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {"color": "red"}), Lock("tag", TAG))
    twin = _other(a, made[0])
    made = _write(a, Update("tag", TAG, {"color": "blue"}), Unlock("tag", TAG))
    store_commits(b, *made)
    built = _write(b, Update("tag", TAG, {"icon": "sun"}))
    store_commits(b, *twin)
    store_commits(c, *twin, *made, *built)
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(b)


def test_what_follows_from_nothing_here_is_not_taken(replicas: list[Replica]) -> None:
    """Neither into a branch nor behind a fork: the feed is in doubt until it comes from its start."""
    a, b, _ = replicas
    made = _write(a, *[Create("tag", bytes([at]) * 16, {}) for at in range(4)])
    twin = _other(a, made[1])
    store_commits(b, *made[:2], *twin)
    third = _other(a, made[1], made[2], made[3])
    astray = signed_anew(a.identity, third[1], command="astray", previous=b"?" * 32)
    first = signed_anew(a.identity, made[1], previous=b"?" * 32)
    assert store_commits(b, astray, third[2], first) == [False] * 3
    trunk = within(b, lambda conn: log.feed_of(conn, made[0].header.feed))
    assert trunk.fault is not None
    below = signed_anew(a.identity, made[1], command="below", previous=b"?" * 32)
    store_commits(b, made[2], below)
    assert len(_feeds(b, made[0].header.feed[:28])) == 3


def test_a_fork_is_made_where_it_is_and_not_where_it_shows(replicas: list[Replica]) -> None:
    """Of a commit that follows from another one than is here, the fork is further below."""
    a, b, _ = replicas
    made = _write(a, *[Create("tag", bytes([at]) * 16, {}) for at in range(4)])
    twin = _other(a, made[1], made[2], made[3])
    store_commits(b, *made)
    life = made[0].header.feed[:28]
    assert store_commits(b, twin[1]) == [False]
    assert _feeds(b, life) == {bytes(4): (4, 4, None)}
    assert within(b, lambda conn: log.feed_of(conn, made[0].header.feed)).fault is not None
    store_commits(b, *twin)
    assert _feeds(b, life)[bytes(4)] == (1, 1, 2)


def test_what_lost_in_a_branch_is_listed_alike_whenever_the_fork_was_heard_of(
    replicas: list[Replica],
) -> None:
    """By the name of the branch that it is in."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), Update("tag", TAG, {"color": "red"}))
    twin = signed_anew(a.identity, made[1], [], command="other")
    store_commits(b, made[0])
    b.clock.ms += 1_000
    later = _write(b, Update("tag", TAG, {"color": "blue"}))
    store_commits(a, *later)
    store_commits(a, twin)
    store_commits(c, made[0], twin, made[1], *later)
    (_, journal, _) = _memory(a)[1]
    assert [value for _, _, _, value, _ in journal] == [pack("red")]
    assert _memory(a) == _memory(c)
    _is_as_rebuilt(a)


def test_no_branch_begins_behind_the_place_of_the_fork(replicas: list[Replica]) -> None:
    """Though its author says that it follows from the commit before that."""
    a, b, _ = replicas
    made = _write(a, *[Create("tag", bytes([at]) * 16, {}) for at in range(3)])
    store_commits(b, *made, *_other(a, made[1]))
    before = _feeds(b, made[0].header.feed[:28])
    gap = signed_anew(a.identity, made[2], command="gap", previous=made[0].hash)
    assert store_commits(b, gap) == [False]
    assert _feeds(b, made[0].header.feed[:28]) == before


def test_a_branch_is_handed_on_from_where_it_begins(replicas: list[Replica]) -> None:
    """Whoever asks for all of it is told after which number that is: batches have no gaps."""
    a, b, _ = replicas
    made = _write(a, *[Create("tag", bytes([at]) * 16, {}) for at in range(4)])
    store_commits(b, *made, *_other(a, made[2]))
    branch = made[0].header.feed[:28] + made[2].hash[:16]
    batches = [within(b, lambda conn, at=at: log.read_log(conn, branch, at)) for at in (0, 2, 3)]  # type: ignore[misc]
    said = [(batch.after, len(batch.commits), batch.head) for batch in batches if batch]
    assert said == [(2, 2, 4), (2, 2, 4), (3, 1, 4)]


def test_nothing_is_written_into_an_own_feed_that_is_forked(replicas: list[Replica]) -> None:
    """A new incarnation has to come first."""
    a, _, _ = replicas
    made = _write(a, Create("tag", TAG, {}))
    store_commits(a, *_other(a, made[0]))
    with pytest.raises(UsageError):
        _write(a, Create("tag", OTHER, {}))


def test_of_a_revoked_device_a_branch_counts_as_far_as_somebody_builds_on_it(
    replicas: list[Replica],
) -> None:
    """And with it all that is before it; the other branch does not."""
    a, b, c = replicas
    made = _write(c, *[Create("tag", bytes([at]) * 16, {}) for at in range(4)])
    twin = _other(c, made[1], made[2])
    within(a, lambda conn: [log.receive(conn, item, 0) for item in (*made, *twin)])
    members = a.store.write_here(lambda tx: take_statements(tx, []))
    said = revocation(a.identity, members, c.identity.device, 0, b"n" * 16)
    a.store.write_here(lambda tx: take_statements(tx, [said]))
    store_commits(b, *made[:3])
    store_commits(a, *_write(b, Create("tag", OTHER, {})))
    life = made[0].header.feed[:28]
    applied = {name: applied for name, (_, applied, _) in _feeds(a, life).items()}
    assert applied == {bytes(4): 1, made[1].hash[:4]: 3, twin[0].hash[:4]: 1}
    assert within(a, revocations.left_behind) == {c.identity.device: 3}


def test_nobody_builds_on_a_branch_of_which_nothing_has_taken_effect(
    replicas: list[Replica],
) -> None:
    """That would name commits before it that are on the shelf, and nobody could apply it."""
    a, b, c = replicas
    made = _write(c, *[Create("tag", bytes([at]) * 16, {}) for at in range(4)])
    lost = Dependency(FeedId(b.identity.device + made[0].header.feed[16:]), 5, b"h" * 32)
    late = chained(c.identity, signed_anew(c.identity, made[1], dependencies=(lost,)), *made[2:])
    store_commits(a, *made[:2], *late, signed_anew(c.identity, late[2], command="fork"))
    (built,) = _write(a, Create("tag", TAG, {}))
    expected = {(1, made[0].hash), (2, made[1].hash)}
    assert {(needed.seq, needed.hash) for needed in built.header.dependencies} == expected
    members = a.store.write_here(lambda tx: take_statements(tx, []))
    said = revocation(a.identity, members, c.identity.device, 0, b"n" * 16)
    a.store.write_here(lambda tx: take_statements(tx, [said]))
    closes = log_of(a, own_feed(a))[-1]
    assert {(needed.seq, needed.hash) for needed in closes.header.dependencies} == expected
