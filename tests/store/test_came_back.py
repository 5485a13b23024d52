"""What is remembered of a restore until a person has seen it."""

from __future__ import annotations

from leaderless.store.came_back import CameBack, came_back, claimed, seen, took, went_on
from leaderless.store.store import Store
from tests.replicas import Replica
from tests.store.passing import within

SOURCE = b"s" * 16


def _told(replica: Replica) -> CameBack | None:
    return within(replica, came_back)


def test_a_restore_is_remembered_with_what_came_back(replica: Replica) -> None:
    """Who gave rows back last, how many, when it was over, and what became of the device's own."""
    store: Store = replica.store
    assert _told(replica) is None
    store.write_here(lambda tx: took(tx, SOURCE, 9))
    assert _told(replica) == CameBack(0, SOURCE, 9)
    store.write_here(lambda tx: went_on(tx, 2, 1))
    assert _told(replica) == CameBack(store.now_ms(), SOURCE, 9, 2, 1)
    store.write_here(seen)
    assert _told(replica) is None


def test_what_came_back_after_an_earlier_restore_is_not_told_again(replica: Replica) -> None:
    """The next one may have brought nothing."""
    replica.store.write_here(lambda tx: took(tx, SOURCE, 9))
    replica.store.write_here(lambda tx: went_on(tx, 0, 0))
    replica.store.write_here(lambda tx: went_on(tx, 0, 0))
    assert _told(replica) == CameBack(replica.store.now_ms(), b"", 0)


def test_a_claim_is_told_apart_from_a_restore(replica: Replica) -> None:
    """Also once rows were given back; the next restore is one."""
    replica.store.write_here(claimed)
    replica.store.write_here(lambda tx: took(tx, SOURCE, 9))
    replica.store.write_here(lambda tx: went_on(tx, 2, 0))
    assert _told(replica) == CameBack(replica.store.now_ms(), SOURCE, 9, 2, 0, claimed=True)
    replica.store.write_here(lambda tx: took(tx, SOURCE, 9))
    assert _told(replica) == CameBack(0, SOURCE, 9)
