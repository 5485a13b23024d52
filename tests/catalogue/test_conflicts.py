"""Values and deletes that lost, in a real store."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from leaderless.catalogue import tags
from leaderless.catalogue.conflict_ids import conflict_id
from leaderless.catalogue.conflicts import (
    Conflict,
    conflict_json,
    conflicts,
    count_conflicts,
    dismiss_conflicts,
    find_conflict,
    ids_for_completion,
    restore_conflict,
    shown_ids,
)
from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol.packing import pack
from leaderless.protocol.records import decode_ref, encode_ref
from leaderless.store.rebuild import rebuild
from registry.changes import Create, Delete, Edit, Restore, Update
from tests.cluster import open_cluster
from tests.replicas import Replica, query_file
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
            lambda c: [conflict_json(c, item, {}) for item in conflicts(c, one.store.registry)]
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
    found = {conflict.field: conflict.id.hex() for conflict in listed(a)}
    assert await dismiss_conflicts(a.store, [found["color"]]) == 1
    hear(b, a)
    for replica in (a, b):
        assert [conflict.field for conflict in listed(replica)] == ["icon"]


async def test_some_are_dismissed_as_one_action(replicas: list[Replica]) -> None:
    """Named twice, one counts once; where one of the ids is none, all stay listed."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red", "icon": "moon"}, {"color": "blue", "icon": "star"})
    ids = [conflict.id.hex() for conflict in listed(a)]
    with pytest.raises(NotFoundError):
        await dismiss_conflicts(a.store, [*ids, "0" * 32])
    assert len(listed(a)) == 2
    assert await dismiss_conflicts(a.store, [*ids, ids[0]]) == 2
    assert listed(a) == []
    newest = query_file(a.store.path, "SELECT command FROM commit_log ORDER BY stamp DESC LIMIT 2")
    assert [command for (command,) in newest].count("conflict.dismiss") == 1


async def test_what_nobody_is_told_of_rests_with_what_was_dismissed(
    replicas: list[Replica],
) -> None:
    """The same value lost as well: the journal is empty afterwards."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red", "icon": "moon"}, {"color": "blue", "icon": "moon"})
    (conflict,) = listed(a)
    await dismiss_conflicts(a.store, [conflict.id.hex()])
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
    await dismiss_conflicts(a.store, [conflict.id.hex()])
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
    await restore_conflict(a.store, conflict.id.hex())
    query = "SELECT canonical_name, icon, color FROM tag"
    assert within(a, lambda c: c.exec_driver_sql(query).all()) == [("trip", "sun", "red")]
    assert listed(a) == []


def test_what_is_not_worth_telling_has_no_id(replicas: list[Replica]) -> None:
    """The same value written twice is found by nobody."""
    a, b, _ = replicas
    _lose(a, b, {"icon": "moon"}, {"icon": "moon"})
    query = "SELECT model, record, field, subkey, value, loser FROM journal"
    *about, loser = within(a, lambda c: tuple(c.exec_driver_sql(query).one()))
    uuid = conflict_id(*about, decode_ref(loser))
    with pytest.raises(NotFoundError):
        within(a, lambda c: find_conflict(c, a.store.registry, uuid.hex()))


def test_conflicts_go_by_the_same_ids_everywhere_in_the_same_order(
    replicas: list[Replica],
) -> None:
    """Whatever a device heard first, also after a rebuild, and whatever wins since."""
    a, b, third = replicas
    _lose(a, b, {"color": "red", "icon": "moon"}, {"color": "blue", "icon": "star"})
    do(a, Create("tag", b"u" * 16, {"canonical_name": "sea"}))
    hear(b, a)
    do(b, Update("tag", b"u" * 16, {"color": "red"}))
    a.clock.ms += 120_000
    do(a, Update("tag", b"u" * 16, {"color": "blue"}))
    for device, *others in ((a, b), (b, a), (third, b, a)):
        hear(device, *others)
    before = [item.id for item in listed(a)]
    assert len(set(before)) == 3
    assert [item.id for item in listed(b)] == [item.id for item in listed(third)] == before
    third.store.write_here(lambda tx: rebuild(tx.conn, third.store.registry, tx.now_ms))
    do(third, Update("tag", TAG, {"color": "green"}))
    assert [item.id for item in listed(third)] == before


def test_a_conflict_is_found_by_what_begins_its_id_alone(replicas: list[Replica]) -> None:
    """In either case; of two that begin so, neither is taken and both are named."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red"}, {"color": "blue"})
    (conflict,) = listed(a)
    digits = conflict.id.hex()

    def found(reference: str) -> Conflict:
        return within(a, lambda c: find_conflict(c, a.store.registry, reference))

    assert found(digits[:4]) == found(digits.upper()) == conflict
    about = conflict.model, conflict.record, "attributes"
    value, loser = pack("x"), conflict.loser
    keys = (str(number) for number in itertools.count())
    key = next(key for key in keys if conflict_id(*about, key, value, loser)[:2] == conflict.id[:2])
    row = (*about, key, value, encode_ref(loser), 1)
    insert = "INSERT INTO journal (model, record, field, subkey, value, loser, noted_at) VALUES"
    within(a, lambda c: c.exec_driver_sql(f"{insert} (?, ?, ?, ?, ?, ?, ?)", row))
    with pytest.raises(UsageError, match="begins the ids of 2 conflicts") as caught:
        found(digits[:4])
    assert digits[:8] in caught.value.message
    assert found(digits[:12]) == conflict


@pytest.mark.parametrize("reference", ["1", "abc", "77", "nothing hexadecimal", "0" * 33])
def test_what_begins_no_id_finds_no_conflict(replica: Replica, reference: str) -> None:
    """Also numbers, as former versions gave them."""
    with pytest.raises(NotFoundError):
        within(replica, lambda c: find_conflict(c, replica.store.registry, reference))


def test_ids_are_completed_as_they_are_shown(replicas: list[Replica]) -> None:
    """Those that begin as was typed."""
    a, b, _ = replicas
    _lose(a, b, {"color": "red"}, {"color": "blue"})
    ((uuid, short),) = shown_ids(listed(a)).items()
    assert short == uuid.hex()[:8]
    for prefix, offered in (("", [short]), (short[:2], [short]), ("x", [])):
        found = within(a, lambda c, p=prefix: ids_for_completion(c, a.store.registry, p))
        assert found == offered


def test_conflicts_are_counted_up_to_a_number(replicas: list[Replica]) -> None:
    """What is not worth telling is not among them."""
    a, b, _ = replicas
    late = {"color": "red", "icon": "moon", "description": "x"}
    _lose(a, b, late, {"color": "blue", "icon": "star", "description": "x"})
    registry = a.store.registry
    counts = [within(a, lambda c, most=most: count_conflicts(c, registry, most)) for most in (9, 1)]
    assert counts == [2, 1]
