"""Tombstones that are dropped, and who comes back from below the floor: nothing is resurrected."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from leaderless.protocol import floor as floors
from leaderless.store import state
from leaderless.store.inventory import owned_items
from leaderless.store.state import Merged
from leaderless.store.state_source import nothing_more
from leaderless.store.tombstones import drop_copied, drop_own
from tests.replicas import Replica, make_replicas, open_replica, query_file
from tests.store.passing import Tree, batches, held, said, within

TOMBS = "SELECT count(*) FROM tombstone"
NAMES = "SELECT name FROM entry WHERE dead = 0 ORDER BY name"
PLACES = "SELECT count(*) FROM incarnation"


def _take(target: Replica, batch: Any) -> Merged:
    floor = floors.decode(batch.floor).rev if batch.floor else 0
    registry = target.store.registry
    return within(target, lambda c: state.apply_batch(c, registry, batch, said(batch), floor))


def _bring(
    source: Replica, target: Replica, owner: Replica, most: int = 1_000, limit: int = 2_000
) -> int:
    """Let a replica pull an owner's rows from where it stands; return how many batches it took."""
    taken = 0
    while taken < most:
        copy = within(target, lambda c: state.copy_of(c, owner.identity.device))
        known = within(source, lambda c: state.copy_of(c, owner.identity.device))
        assert known is not None
        same = copy is not None and copy.incarnation == known.incarnation
        lo = copy.watermark if copy is not None and same else 0
        batch = next(batches(source, owner, lo, limit=limit), None)
        if batch is None:
            return taken
        _take(target, batch)
        taken += 1
    return taken


def _tell(owner: Replica, member: Replica) -> None:
    """Let a member say what it holds of an owner."""
    copy = held(member, owner)
    row = (member.identity.device, *copy.incarnation, copy.watermark)
    query = "INSERT OR REPLACE INTO owned_confirmation VALUES (?, ?, ?, ?)"
    within(owner, lambda c: c.exec_driver_sql(query, row))


def _drop(owner: Replica, *holding: Replica) -> int:
    devices = {member.identity.device for member in holding}
    return owner.store.write_here(lambda tx: drop_own(tx, devices))


def _drop_copied(replica: Replica) -> int:
    own = replica.identity.device
    return within(replica, lambda c: drop_copied(c, replica.store.registry, own))


def _count(replica: Replica, query: str = TOMBS) -> int:
    ((count,),) = query_file(replica.store.path, query)
    return int(count)


def _names(replica: Replica) -> list[bytes]:
    return [name for (name,) in query_file(replica.store.path, NAMES)]


def _is_proved(replica: Replica, owner: Replica) -> bool:
    """Return whether a copy is whole, and its rows are those that its owner signed."""
    copy = held(replica, owner)
    counted = within(replica, lambda c: len(list(owned_items(c, replica.store.registry, copy))))
    return copy.exact and copy.verified == copy.watermark and copy.row_count == counted


@pytest.fixture
def tree(replicas: list[Replica]) -> Tree:
    """Give the first device a folder of four, which all others have."""
    made = Tree(replicas[0])
    for name in ("one", "two", "three", "four"):
        made.put(name)
    for other in replicas[1:]:
        _bring(replicas[0], other, replicas[0])
        _tell(replicas[0], other)
    return made


def test_a_tombstone_goes_when_the_last_one_has_it(replicas: list[Replica], tree: Tree) -> None:
    """One that is behind, or has said nothing, keeps it."""
    a, b, c = replicas
    tree.drop("one", "two")
    _bring(a, b, a)
    _tell(a, b)
    assert _drop(a, b, c) == 0
    _bring(a, c, a)
    _tell(a, c)
    assert (_drop(a, b, c), _count(a)) == (2, 0)
    assert held(a, a).floor == held(a, a).watermark


def test_a_member_that_never_told_a_watermark_keeps_all(
    replicas: list[Replica], tree: Tree
) -> None:
    """Nor does what was told of an earlier incarnation count."""
    a, b, _ = replicas
    tree.drop("one")
    _bring(a, b, a)
    _tell(a, b)
    within(a, lambda c: c.exec_driver_sql("UPDATE owned_confirmation SET generation = 7"))
    assert _drop(a, b) == 0


def test_others_drop_what_is_below_the_floor(replicas: list[Replica], tree: Tree) -> None:
    """Once they are whole, and not before."""
    a, b, _ = replicas
    tree.drop("one")
    _bring(a, b, a)
    assert _drop_copied(b) == 0
    assert _drop(a) == 1
    tree.put("five")
    _bring(a, b, a)
    assert (_drop_copied(b), _count(b), _is_proved(b, a)) == (1, 0, True)


def test_who_returns_from_below_the_floor_resurrects_nothing(
    replicas: list[Replica], tree: Tree
) -> None:
    """It takes all rows anew, drops what did not come, and holds what the owner has signed."""
    a, b, c = replicas
    tree.drop("one", "three")
    tree.put("five")
    _bring(a, b, a)
    assert _drop(a) == 2
    assert _names(c) == [b"docs", b"four", b"one", b"three", b"two"]
    before = _count(c, PLACES)
    _bring(a, c, a)
    assert _names(c) == _names(a) == _names(b)
    assert _is_proved(c, a)
    assert (_count(c), _count(c, PLACES)) == (0, before)


def test_nothing_vanishes_while_rows_come_anew(tmp_path: Path) -> None:
    """Also after a crash in the middle, and with another source from there on."""
    replicas = make_replicas(tmp_path, 3)
    a, b, c = replicas
    tree = Tree(a)
    for at in range(6):
        tree.put(f"name{at}")
    for other in (b, c):
        _bring(a, other, a)
    whole = _names(a)
    tree.drop("name0", "name5")
    _drop(a)
    tree.put("name6")
    _bring(a, b, a)
    _bring(a, c, a, most=3, limit=2)
    assert set(_names(c)) >= set(whole)
    assert not held(c, a).exact
    for name in ("library2.db", "library2.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("2", "9", 1))
    again = open_replica(tmp_path, 2, c.clock.ms, "library9.db")
    _bring(b, again, a, limit=2)
    assert _names(again) == _names(a)
    assert _is_proved(again, a)
    for replica in (*replicas, again):
        replica.store.close()


def test_a_relay_below_the_floor_is_no_source_for_what_begins_anew(
    replicas: list[Replica], tree: Tree
) -> None:
    """It still has what was deleted, and nobody tells of that any more."""
    a, b, c = replicas
    tree.drop("one")
    _drop(a)
    tree.put("five")
    _bring(a, c, a, most=1, limit=1)
    assert held(c, a).watermark == 0
    refused = _take(c, next(batches(b, a)))
    assert not refused.used
    _bring(a, c, a)
    assert _is_proved(c, a)
    assert b"one" not in _names(c)


@pytest.mark.parametrize("is_empty", [False, True])
def test_the_word_of_who_told_its_floor_stays_though_its_rows_are_taken_anew(
    replicas: list[Replica], tree: Tree, is_empty: bool
) -> None:
    """The owner may be put back to before its floor then: only its word can show it that it was."""
    a, _, c = replicas
    copy = held(c, a)
    if is_empty:
        within(c, lambda conn: state.forget(conn, c.store.registry, copy))
    tree.drop("one")
    _drop(a)
    tree.put("five")
    told = next(batches(a, a, copy.watermark))
    assert not _take(c, told).used
    nothing = within(c, lambda conn: nothing_more(conn, a.identity.device, 0))
    assert nothing is not None
    assert said(nothing) == said(told)
    assert (nothing.head, held(c, a).watermark) == (0, 0)
    _bring(a, c, a)
    assert _is_proved(c, a)


def test_a_floor_that_rises_while_rows_come_begins_once_more(
    replicas: list[Replica], tree: Tree
) -> None:
    """What came before may have been deleted since; only what is above the floor is sure."""
    a, _, c = replicas
    tree.drop("one")
    _drop(a)
    tree.put("five")
    _bring(a, c, a, most=4, limit=1)
    assert not held(c, a).exact
    tree.drop("two")
    _drop(a)
    tree.put("six")
    _bring(a, c, a, limit=1)
    assert _names(c) == _names(a)
    assert _is_proved(c, a)


def test_who_begins_at_the_floor_begins_once(replicas: list[Replica], tree: Tree) -> None:
    """A newcomer takes all rows anyway."""
    a, _, c = replicas
    tree.drop("one")
    _drop(a)
    copy = held(c, a)
    within(c, lambda conn: state.forget(conn, c.store.registry, copy))
    before = _count(c, PLACES)
    _bring(a, c, a, most=1, limit=1)
    assert (_count(c, PLACES), held(c, a).base) == (before, held(a, a).floor)
    _bring(a, c, a)
    assert _is_proved(c, a)


def test_an_incarnation_that_nothing_can_be_before_is_dropped_and_taken_anew(
    replicas: list[Replica], tree: Tree
) -> None:
    """Whoever draws such a one has its rows away for a while, and breaks nothing."""
    a, _, c = replicas
    first = "UPDATE incarnation SET nonce = x'0000000000000000' WHERE device = ?"
    for replica in (a, c):
        within(replica, lambda conn: conn.exec_driver_sql(first, (a.identity.device,)))
    tree.drop("one")
    _drop(a)
    tree.put("five")
    _bring(a, c, a)
    assert _names(c) == _names(a)


def test_a_tombstone_of_a_row_that_is_still_referred_to_stays(
    replicas: list[Replica], tree: Tree
) -> None:
    """Without it the dead row would be handed on as a living one."""
    a = replicas[0]
    tree.drop("one")
    within(a, lambda c: c.exec_driver_sql("UPDATE tombstone SET uuid = (SELECT uuid FROM volume)"))
    assert _drop(a) == 0


def test_a_device_that_takes_its_rows_back_drops_nothing(
    replicas: list[Replica], tree: Tree
) -> None:
    """What it remembers of its own deletes is not whole."""
    a = replicas[0]
    tree.drop("one")
    within(a, lambda c: c.exec_driver_sql("INSERT INTO meta VALUES ('restoring', 1)"))
    assert _drop(a) == 0
