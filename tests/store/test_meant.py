"""What authors mean by positions behind a fork that they had not heard of when they wrote."""

from __future__ import annotations

from typing import Any

from leaderless.protocol.records import decode_state
from leaderless.store import log, meta, restoring
from leaderless.store.rebuild import rebuild
from registry.changes import Create, Dependency, Edit, FeedId, Lock, Unlock, Update
from tests.replicas import Replica
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within

TAG, OTHER = b"t" * 16, b"u" * 16


def _write(replica: Replica, *edits: Edit) -> list[log.Received]:
    """Let a replica write a commit of each edit; return all of its feed."""
    for edit in edits:
        replica.store.write_here(lambda tx: tx.commit("t", [edit]))  # noqa: B023
    return log_of(replica, own_feed(replica))


def _other(author: Replica, item: log.Received, *after: log.Received) -> list[log.Received]:
    """Return another commit in the place of one, and others chained behind it."""
    first = signed_anew(author.identity, item, command="other")
    return chained(author.identity, first, *after)


def _memory(replica: Replica) -> tuple[bytes, list[Any]]:
    """Return the shared set hash, and all records with what stands beside them."""

    def read(connection: Any) -> tuple[bytes, list[Any]]:
        query = "SELECT model, uuid, state, deaths, remains FROM record ORDER BY uuid"
        return meta.get(connection, meta.SHARED_HASH), connection.exec_driver_sql(query).all()

    return within(replica, read)


def _is_as_rebuilt(replica: Replica) -> None:
    registry = replica.store.registry
    assert within(replica, lambda conn: rebuild(conn, registry, 0)).differences == ()


def _guards(replica: Replica, record: bytes, field: str) -> list[tuple[int, bytes]]:
    """Return level and feed of the guards that the writes to a field are under."""

    def read(connection: Any) -> list[tuple[int, bytes]]:
        query = "SELECT state FROM record WHERE uuid = ?"
        state = decode_state(connection.exec_driver_sql(query, (record,)).scalar())
        return [
            (item.guard.level, bytes(item.guard.feed[28:32]))
            for item in state.writes
            if item.field == field
        ]

    return within(replica, read)


def _dots(replica: Replica, record: bytes, field: str) -> list[set[bytes]]:
    """Return by their feeds on which dots the writes to a field hang."""

    def read(connection: Any) -> list[set[bytes]]:
        query = "SELECT state FROM record WHERE uuid = ?"
        state = decode_state(connection.exec_driver_sql(query, (record,)).scalar())
        writes = [item for item in state.writes if item.field == field]
        return [{bytes(dot.feed[28:32]) for dot in item.dots} for item in writes]

    return within(replica, read)


def _unlocked_twice(author: Replica) -> list[log.Received]:
    """Return commits that take two locks off, the last ones and under one stamp: in doubt is which."""
    for record in (TAG, OTHER):
        _write(author, Create("tag", record, {}), Lock("tag", record))
    made = _write(author, Unlock("tag", TAG), Unlock("tag", OTHER))
    stamp = made[4].header.stamp
    return [*made[:5], signed_anew(author.identity, made[5], stamp=stamp)]


def test_locks_of_one_stamp_on_both_sides_of_a_fork_are_told_apart(
    replicas: list[Replica],
) -> None:
    """A guard is of the lock that the author of the write had applied."""
    a, b, c = replicas
    made = _unlocked_twice(a)
    twin = _other(a, made[5])
    store_commits(b, *made[:5])
    _write(b, Update("tag", TAG, {"color": "before"}))
    store_commits(b, made[5])
    built = _write(b, Update("tag", OTHER, {"color": "behind"}))
    store_commits(b, *twin)
    store_commits(c, *made[:5], *twin, *built, made[5])
    for replica in (b, c):
        assert _guards(replica, TAG, "color") == [(2, bytes(4))]
        assert _guards(replica, OTHER, "color") == [(2, made[5].hash[:4])]
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(b)


def test_a_branch_that_forks_is_meant_by_those_who_knew_of_the_first_fork_alone(
    replicas: list[Replica],
) -> None:
    """Whoever hears of both forks before the edit takes it as those did who heard of it between."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), *[Update("tag", TAG, {"color": x}) for x in "abcd"])
    early = _other(a, made[1], made[2])
    late = _other(a, made[3], made[4])
    store_commits(b, *made, *early)
    built = _write(b, Update("tag", TAG, {"color": "built"}))
    store_commits(b, *late)
    store_commits(c, *made, *early, *late, *built)
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(c)


def test_of_two_locks_of_one_stamp_the_later_is_meant_by_who_had_applied_both(
    replicas: list[Replica],
) -> None:
    """Only a lying author makes these; all devices take its word alike."""
    a, b, c = replicas
    made = _unlocked_twice(a)
    twin = _other(a, made[5])
    store_commits(b, *made)
    built = _write(b, Update("tag", TAG, {"color": "red"}))
    store_commits(b, *twin)
    store_commits(c, *made[:5], *twin, made[5], *built)
    assert _guards(b, TAG, "color") == [(2, made[5].hash[:4])]
    assert _memory(b) == _memory(c)


def test_what_its_author_wrote_later_is_not_meant_by_a_guard(replicas: list[Replica]) -> None:
    """Though it stands in the same branch, under the stamp of the lock."""
    a, b, c = replicas
    for record in (TAG, OTHER):
        _write(a, Create("tag", record, {}), Lock("tag", record), Unlock("tag", record))
    made = _write(a, Update("tag", TAG, {"color": "red"}), Update("tag", OTHER, {"color": "blue"}))
    late = signed_anew(a.identity, made[7], stamp=made[2].header.stamp)
    twin = _other(a, made[6])
    store_commits(b, *made[:7], *twin)
    store_commits(b, late)
    store_commits(c, *made[:6], *twin, made[6], late)
    assert _guards(b, TAG, "color") == [(2, bytes(4))]
    assert _memory(b) == _memory(c)


def test_who_heard_of_a_fork_means_what_it_had_said_before(replicas: list[Replica]) -> None:
    """Of a branch that forks again: it had applied its commits when they went by the feed's name."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), *[Update("tag", TAG, {"color": x}) for x in "abcd"])
    early, late = _other(a, made[1]), _other(a, made[3], made[4])
    store_commits(b, *made)
    _write(b, Create("tag", OTHER, {}))
    store_commits(b, *early)
    built = _write(b, Update("tag", TAG, {"color": "built"}))
    named = {needed.feed for needed in built[1].header.dependencies}
    assert made[0].header.feed[:28] + made[1].hash[:16] not in named
    store_commits(b, *late)
    store_commits(c, *made, *early, *late, *built)
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(c)


def test_a_name_from_before_a_fork_means_what_was_said_by_that_name(
    replicas: list[Replica],
) -> None:
    """Not a branch of which its author has heard since, and that has a name of its own."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), Create("tag", OTHER, {}))
    twin = _other(a, made[1])
    store_commits(b, *made)
    built = _write(b, Update("tag", TAG, {"icon": "sun"}), Update("tag", OTHER, {"color": "red"}))
    branch = FeedId(made[0].header.feed[:28] + twin[0].hash[:16])
    since = Dependency(branch, 2, twin[0].hash)
    later = signed_anew(b.identity, built[1], dependencies=(since,))
    store_commits(c, *made, *twin, built[0], later)
    assert _dots(c, OTHER, "color") == [{made[1].hash[:4]}]


def test_who_goes_on_in_a_new_incarnation_means_the_branch_that_it_had_applied_before(
    replicas: list[Replica],
) -> None:
    """It has said so in the incarnation before, by hash."""
    a, b, c = replicas
    made = _write(a, Create("tag", TAG, {}), Create("tag", OTHER, {"color": "red"}))
    twin = _other(a, made[1])
    store_commits(b, *made)
    first = _write(b, Update("tag", TAG, {"color": "red"}))
    feed = own_feed(b)
    b.store.write_here(lambda tx: restoring.claim(tx, b"nonce--2"))
    b.store.write_here(lambda tx: tx.commit("t", [Update("tag", OTHER, {"color": "blue"})]))
    lives = within(b, log.feeds)
    (later,) = [item.feed for item in lives if item.feed[:16] == feed[:16] and item.feed != feed]
    built = log_of(b, later)
    assert not any(needed.feed == made[0].header.feed for needed in built[0].header.dependencies)
    again = _other(b, built[0])  # its own feed forks where it begins
    store_commits(b, *twin, *again)
    store_commits(c, made[0], *twin, made[1], *first, *again, *built)
    assert _memory(b) == _memory(c)
    _is_as_rebuilt(c)
