"""Values and deletes that lost, in a real store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaderless.catalogue import tags
from leaderless.catalogue.conflicts import (
    Conflict,
    conflict_json,
    conflicts,
    count_conflicts,
    dismiss_conflict,
    find_conflict,
    restore_conflict,
)
from leaderless.errors import NotFoundError
from registry.changes import Create, Delete, Edit, Restore, Update
from tests.cluster import open_cluster
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, store_commits, within

TAG = b"t" * 16


async def test_a_value_that_lost_is_in_the_journal(tmp_path: Path) -> None:
    """With its field, its author and the one that won, in times that every reader can hold."""
    async with open_cluster(tmp_path, 2) as cluster:
        one, two = (node.replica for node in cluster.nodes)
        uuid = await tags.create_tag(one.store, "trip", {"color": "white"})
        ends = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in ends:
            await end.aclose()
        await cluster.until(lambda: not any(node.driver.connected() for node in cluster.nodes))
        await tags.set_tag(one.store, "trip", {"color": "red"})
        two.clock.ms += 60_000
        await tags.set_tag(two.store, "trip", {"color": "blue"})
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        (lost,) = await one.store.read(
            lambda c: [conflict_json(c, item) for item in conflicts(c, one.store.registry)]
        )
    assert {name: lost[name] for name in ("model", "record", "field", "subkey", "value")} == {
        "model": "tag",
        "record": uuid.hex(),
        "field": "color",
        "subkey": None,
        "value": "red",
    }
    assert (lost["author_id"], lost["winner_id"]) == (
        one.identity.device.hex(),
        two.identity.device.hex(),
    )
    assert int(lost["winner_at_ms"]) - int(lost["at_ms"]) == 60_000


def do(replica: Replica, edit: Edit) -> None:
    """Do one thing, a second after what was done before."""
    replica.clock.ms += 1_000
    replica.store.write_here(lambda tx: tx.commit("tag.test", [edit]))


def hear(replica: Replica, *others: Replica) -> None:
    """Give a replica all that others have written."""
    for other in others:
        store_commits(replica, *log_of(other, own_feed(other)))


def listed(replica: Replica) -> list[Conflict]:
    """Return the conflicts of a replica."""
    return within(replica, lambda c: conflicts(c, replica.store.registry))


def _lose(a: Replica, b: Replica, late: dict[str, Any], later: dict[str, Any]) -> None:
    """Let b write over what a had written, neither having seen the other."""
    do(a, Create("tag", TAG, {"canonical_name": "trip", "color": "white", "icon": "sun"}))
    hear(b, a)
    do(a, Update("tag", TAG, late))
    b.clock.ms += 60_000
    do(b, Update("tag", TAG, later))
    hear(a, b)


async def test_what_is_dismissed_is_one_field_alone(replicas: list[Replica]) -> None:
    """What else the same change had lost stays listed, on every device."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red", "icon": "moon"}, {"color": "blue", "icon": "star"})
    found = {conflict.field: conflict.number for conflict in listed(a)}
    assert await dismiss_conflict(a.store, found["color"]) == 1
    hear(b, a)
    for replica in (a, b):
        assert [conflict.field for conflict in listed(replica)] == ["icon"]


async def test_what_nobody_is_told_of_rests_with_what_was_dismissed(
    replicas: list[Replica],
) -> None:
    """The same value lost as well: the journal is empty afterwards."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red", "icon": "moon"}, {"color": "blue", "icon": "moon"})
    (conflict,) = listed(a)
    await dismiss_conflict(a.store, conflict.number)
    query = "SELECT count(*) FROM journal"
    assert within(a, lambda c: c.exec_driver_sql(query).scalar()) == 0


async def test_a_delete_in_vain_names_who_keeps_the_record(replicas: list[Replica]) -> None:
    """Not itself; dismissed, it is no conflict any more."""
    a, b, _ = replicas
    do(a, Create("tag", TAG, {"canonical_name": "trip"}))
    hear(b, a)
    do(a, Delete("tag", TAG))
    do(a, Restore("tag", TAG))
    do(b, Delete("tag", TAG))
    hear(a, b)
    (conflict,) = listed(a)
    assert (conflict.cause, conflict.loser.feed[:16]) == ("kept", b.store.own_device)
    assert conflict.winner is not None
    assert conflict.winner.feed[:16] == a.store.own_device
    await dismiss_conflict(a.store, conflict.number)
    assert listed(a) == []


async def test_what_lost_with_its_record_comes_back_with_it(replicas: list[Replica]) -> None:
    """The restored value is the one that lost; the others are those that the record had."""
    a, b, _ = replicas
    do(a, Create("tag", TAG, {"canonical_name": "trip", "icon": "sun"}))
    hear(b, a)
    do(a, Delete("tag", TAG))
    do(b, Update("tag", TAG, {"color": "red"}))
    hear(a, b)
    (conflict,) = listed(a)
    assert (conflict.cause, conflict.value) == ("deleted", "red")
    await restore_conflict(a.store, conflict.number)
    query = "SELECT canonical_name, icon, color FROM tag"
    assert within(a, lambda c: c.exec_driver_sql(query).all()) == [("trip", "sun", "red")]
    assert listed(a) == []


def test_what_is_not_worth_telling_has_no_number(replicas: list[Replica]) -> None:
    """The same value written twice is found by nobody."""
    a, b, _ = replicas
    _lose(a, b, {"icon": "moon"}, {"icon": "moon"})
    query = "SELECT id FROM journal"
    number = within(a, lambda c: c.exec_driver_sql(query).scalar_one())
    with pytest.raises(NotFoundError):
        within(a, lambda c: find_conflict(c, a.store.registry, number))


def test_conflicts_are_counted_up_to_a_number(replicas: list[Replica]) -> None:
    """What is not worth telling is not among them."""
    a, b, _ = replicas
    late = {"color": "red", "icon": "moon", "description": "x"}
    _lose(a, b, late, {"color": "blue", "icon": "star", "description": "x"})
    registry = a.store.registry
    counts = [within(a, lambda c, most=most: count_conflicts(c, registry, most)) for most in (9, 1)]
    assert counts == [2, 1]
