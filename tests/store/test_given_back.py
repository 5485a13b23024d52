"""Own rows that a peer gives back: kept aside until they are whole, and what this device has signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.messages import StateBatch
from leaderless.store import given_back, meta
from leaderless.store.aside import MOST_OF_A_REV, Given
from leaderless.store.given_back import NotSignedError
from leaderless.store.incarnations import begin_incarnation
from registry.changes import Incarnation
from tests.liar import with_changes
from tests.replicas import Replica, add_tree
from tests.store.passing import batches, dump, held, pull, query_file, within

A, B = b"a" * 16, b"b" * 16


def keep(device: Replica, batch: StateBatch, sender: bytes = A) -> Given | None:
    """Put a batch aside."""
    return within(device, lambda c: given_back.keep(c, batch, sender))


def known(replicas: list[Replica], files: int = 4) -> tuple[Replica, list[StateBatch]]:
    """Return a device, and what a peer holds of it in small batches."""
    device, peer = replicas[:2]
    add_tree(device, files)
    pull(device, peer, device)
    return device, list(batches(peer, device, limit=3))


def test_batches_are_kept_in_their_order_until_all_are_here(replicas: list[Replica]) -> None:
    """Nothing that is held changes meanwhile."""
    device, given = known(replicas)
    before, head = dump(device), given[-1].head
    assert within(device, given_back.given) is None
    life = Incarnation(1, bytes([1]) * 8)
    for batch in given:
        found = keep(device, batch)
        assert found is not None
        assert found[:4] == (A, life, batch.hi, head)
        assert found == within(device, given_back.given)
        assert found.whole == (batch is given[-1])
    assert dump(device) == before


def test_a_batch_that_does_not_go_on_from_there_is_not_kept(replicas: list[Replica]) -> None:
    """A later one, one of somebody else, of another incarnation, or of who holds less by now."""
    device, given = known(replicas)
    assert keep(device, given[1]) is None
    keep(device, given[0])
    assert keep(device, given[2]) is None
    assert keep(device, given[1], B) is None
    assert keep(device, replace(given[1], incarnation=Incarnation(9, b"--------"))) is None
    assert keep(device, replace(given[1], head=1)) is None
    assert keep(device, replace(given[1], as_of=given[1].head + 1)) is None
    assert keep(device, given[1]) is not None


def test_a_batch_from_the_start_takes_the_place_of_what_is_kept(replicas: list[Replica]) -> None:
    """Who gave it is the one who gives all."""
    device, given = known(replicas)
    keep(device, given[0])
    keep(device, given[1])
    found = keep(device, given[0], B)
    assert found is not None
    assert (found.source, found.reached) == (B, given[0].hi)
    query = "SELECT count(*) FROM given_back"
    assert query_file(device.store.path, query) == [(1,)]


def test_ancestors_that_come_in_batches_of_their_own_go_together(replicas: list[Replica]) -> None:
    """They reach no further than the start, and do not begin anew."""
    device, given = known(replicas)
    ahead = replace(given[0], hi=0)
    keep(device, ahead)
    assert keep(device, given[0]) is not None
    assert query_file(device.store.path, "SELECT count(*) FROM given_back") == [(2,)]


def test_who_sends_the_start_without_end_fills_no_disk(replicas: list[Replica]) -> None:
    """More than there can be of so many revs is dropped, and may come again from the start."""
    device, given = known(replicas)
    query = "SELECT count(*) FROM given_back"
    empty = replace(given[0], hi=0, changes=())
    most = MOST_OF_A_REV * (given[0].as_of + 1)
    for _ in range(most):
        assert keep(device, empty) is not None
    assert query_file(device.store.path, query) == [(most,)]
    assert keep(device, empty) is None
    assert query_file(device.store.path, query) == [(0,)]
    assert keep(device, given[0]) is not None


def test_what_was_given_back_takes_the_place_of_our_own_rows(replicas: list[Replica]) -> None:
    """Those that were written since are gone; those that came back are as they were signed."""
    device, given = known(replicas)
    rows = "SELECT uuid, rev, name FROM entry ORDER BY uuid"
    before = query_file(device.store.path, rows)
    add_tree(device, 2, "more")
    for batch in given:
        keep(device, batch)
    taken, _ = device.store.write_here(given_back.take)
    assert (taken, taken.watermark) == (held(device, device), given[-1].head)
    assert query_file(device.store.path, rows) == before
    assert within(device, given_back.given) is None
    assert within(device, lambda c: meta.get(c, meta.OWN_EPOCH)) == taken.epoch


def test_rows_from_before_a_floor_of_ours_are_taken(replicas: list[Replica]) -> None:
    """Nobody held what was deleted since, and then somebody came back who knows nothing of it."""
    device, given = known(replicas)
    add_tree(device, 2, "more")
    device.store.write_here(lambda tx: tx.raise_floor(given[-1].head + 1))
    for batch in given:
        keep(device, batch)
    taken, _ = device.store.write_here(given_back.take)
    assert (taken.watermark, taken.floor, taken.floor_word) == (given[-1].head, 0, None)


def test_rows_of_a_later_incarnation_can_be_taken(replicas: list[Replica]) -> None:
    """The device has lived on in it, and was put back to before."""
    device, peer = replicas[:2]
    add_tree(device, 2)
    before = held(device, device)
    device.store.write_here(lambda tx: _begin(tx))
    add_tree(device, 1, "more")
    pull(device, peer, device)
    given = list(batches(peer, device))
    within(
        device,
        lambda c: c.exec_driver_sql(
            "UPDATE incarnation SET generation = 1, nonce = ? WHERE id = ?",
            (before.incarnation.nonce, before.epoch),
        ),
    )
    for batch in given:
        keep(device, batch)
    taken, _ = device.store.write_here(given_back.take)
    assert taken.incarnation == Incarnation(2, b"nonce--2")
    assert device.store.own_epoch == taken.epoch != before.epoch


def _begin(tx):  # noqa: ANN001, ANN202
    return begin_incarnation(tx, b"nonce--2")


def test_rows_that_are_not_what_was_signed_are_not_taken(replicas: list[Replica]) -> None:
    """Nothing has changed then."""
    device, given = known(replicas)
    add_tree(device, 2, "more")
    before = dump(device)
    for batch in given:
        keep(device, with_changes(batch, lambda change: replace(change, rows=change.rows[:1])))
    with pytest.raises(NotSignedError):
        device.store.write_here(given_back.take)
    assert dump(device) == before
    within(device, given_back.discard)
    assert within(device, given_back.given) is None
    assert query_file(device.store.path, "SELECT * FROM given_back") == []
