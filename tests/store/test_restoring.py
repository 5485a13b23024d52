"""What a restored or cloned device may do, and how it goes on."""

from __future__ import annotations

import json

import pytest

from leaderless.store import meta, repair, restoring
from leaderless.store.repair import Replaced
from leaderless.store.restoring import CLONE_MS, ClonedError, RestoringError
from leaderless.store.state import copy_of
from registry.changes import Create, Incarnation
from tests.replicas import Replica, add_tree
from tests.store.passing import held, within

NONCE = b"nonce--8"


def life(replica: Replica) -> str:
    """Return why a replica writes nothing, if it does not."""
    return within(replica, restoring.life)


def begin(replica: Replica) -> bool:
    """Let a replica drop its rows, to take them back."""
    copy = held(replica, replica)
    return replica.store.write_here(lambda tx: restoring.begin(tx, copy))


def test_a_device_that_takes_its_rows_back_writes_nothing(replicas: list[Replica]) -> None:
    """Neither rows nor commits, and says why."""
    device = replicas[0]
    add_tree(device, 3)
    copy = held(device, device)
    assert device.store.write_here(lambda tx: restoring.begin(tx, copy))
    assert (life(device), held(device, device).row_count) == (restoring.RESTORING, 0)
    with pytest.raises(RestoringError):
        add_tree(device, 1)
    with pytest.raises(RestoringError):
        device.store.write_here(lambda tx: tx.drop("entry", [bytes(16)]))
    with pytest.raises(RestoringError):
        device.store.write_here(lambda tx: tx.commit("t", [Create("tag", bytes(16), {})]))


def _given_back(device: Replica) -> None:
    """Let a device have back what it had signed: nothing, here."""
    within(
        device,
        lambda c: c.exec_driver_sql(
            "UPDATE incarnation SET watermark = 7, as_of = 7, verified = 7 WHERE device = ?",
            (device.identity.device,),
        ),
    )


def test_once_its_rows_are_whole_it_goes_on_in_a_new_incarnation(replicas: list[Replica]) -> None:
    """Not before; and it may write again."""
    device = replicas[0]
    copy = held(device, device)
    device.store.write_here(lambda tx: restoring.begin(tx, copy))
    within(device, lambda c: c.exec_driver_sql("UPDATE incarnation SET as_of = 7"))
    assert device.store.write_here(lambda tx: restoring.finish(tx, NONCE)) is None
    _given_back(device)
    begun = device.store.write_here(lambda tx: restoring.finish(tx, NONCE))
    assert begun == Incarnation(2, NONCE) == held(device, device).incarnation
    assert life(device) == ""
    add_tree(device, 1)


def test_nothing_is_not_what_a_device_takes_for_its_rows(replicas: list[Replica]) -> None:
    """A batch that was not used has brought none of them: it goes on waiting."""
    device = replicas[0]
    add_tree(device, 3)
    assert begin(device)
    assert device.store.write_here(lambda tx: restoring.finish(tx, NONCE)) is None
    assert life(device) == restoring.RESTORING


def test_who_is_restored_twice_within_a_day_was_cloned(replicas: list[Replica]) -> None:
    """It writes nothing more, and keeps what it has; a day later it may be restored again."""
    device = replicas[0]
    add_tree(device, 3)
    within(device, lambda c: meta.put(c, meta.RESTORED, device.store.now_ms()))
    copy = held(device, device)
    device.clock.ms += CLONE_MS - 1
    assert device.store.write_here(lambda tx: restoring.begin(tx, copy)) is False
    assert (life(device), held(device, device).row_count) == (restoring.CLONED, 7)
    with pytest.raises(ClonedError):
        add_tree(device, 1)
    within(device, lambda c: meta.drop(c, meta.CLONED))
    device.clock.ms += 1
    assert device.store.write_here(lambda tx: restoring.begin(tx, copy))


def test_a_person_lets_a_device_go_on_as_it_is(replicas: list[Replica]) -> None:
    """Above every incarnation of it that is known, with the rows that it has."""
    device = replicas[0]
    add_tree(device, 3)
    within(device, lambda c: meta.put(c, meta.CLONED, 1))
    begun = device.store.write_here(lambda tx: restoring.go_on(tx, NONCE))
    assert (begun.generation, life(device)) == (3, "")
    copy = within(device, lambda c: copy_of(c, device.identity.device))
    assert copy is not None
    assert (copy.incarnation, copy.row_count) == (begun, 7)
    add_tree(device, 1)


def _replaced(device: Replica, above: int = 5) -> None:
    """Let a device's database be one that has replaced another."""
    told = Replaced(1_000, "library.db.corrupt", 500, "bad", above, NONCE.hex())
    within(device, lambda c: meta.put(c, meta.REPLACED, json.dumps(told)))
    device.store.write_here(restoring.after_replacement)


def test_a_replaced_device_waits_for_others_and_writes_nothing(replicas: list[Replica]) -> None:
    """It keeps its rows and its incarnation meanwhile, over a restart, too."""
    device = replicas[0]
    add_tree(device, 3)
    _replaced(device)
    device.store.write_here(restoring.after_replacement)
    assert within(device, restoring.waits)
    assert (life(device), held(device, device).row_count) == (restoring.RESTORING, 7)
    with pytest.raises(RestoringError):
        add_tree(device, 1)


def test_a_replaced_device_that_is_alone_goes_on_at_once(replica: Replica) -> None:
    """Nobody could know more of it."""
    _replaced(replica)
    assert life(replica) == ""
    assert held(replica, replica).incarnation == Incarnation(6, NONCE)
    assert within(replica, repair.to_leave) is None


def test_a_replaced_device_goes_on_as_it_is_once_nobody_knows_more(replicas: list[Replica]) -> None:
    """Once, above what the damaged file had used."""
    device = replicas[0]
    _replaced(device)
    begun = device.store.write_here(restoring.go_on_as_replaced)
    assert begun == Incarnation(6, NONCE)
    assert device.store.write_here(restoring.go_on_as_replaced) is None
    add_tree(device, 1)


def test_a_replaced_device_with_half_of_its_rows_does_not_go_on(replicas: list[Replica]) -> None:
    """Who has begun to give them back has the rest; a person may decide otherwise."""
    device = replicas[0]
    _replaced(device)
    within(device, lambda c: c.exec_driver_sql("UPDATE incarnation SET as_of = watermark + 1"))
    assert not within(device, restoring.waits)
    assert device.store.write_here(restoring.go_on_as_replaced) is None
    begun = device.store.write_here(lambda tx: restoring.go_on(tx, NONCE))
    assert (begun.generation, life(device)) == (6, "")


def test_a_snapshot_from_the_middle_of_a_restore_goes_on_with_that(replicas: list[Replica]) -> None:
    """It has dropped its rows, and waits as long as any restored device does."""
    device = replicas[0]
    copy = held(device, device)
    device.store.write_here(lambda tx: restoring.begin(tx, copy))
    _replaced(device)
    assert (life(device), within(device, restoring.waits)) == (restoring.RESTORING, False)
