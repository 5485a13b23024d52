"""Locks as people see them, in a real store."""

from __future__ import annotations

import pytest

from leaderless.catalogue.albums import create_album
from leaderless.catalogue.locks import check_guard, lock_json
from leaderless.catalogue.records import Reference
from leaderless.errors import LeaderlessError, NotFoundError, UsageError
from registry.changes import Delete, Lock
from tests.replicas import Replica
from tests.store.passing import within


async def test_what_is_not_locked_is_held_by_nobody(replica: Replica) -> None:
    """Null in JSON, whether it is there or not."""
    album = await create_album(replica.store, "best", {})
    nobody = {"locked_by": None, "locked_by_id": None}
    assert within(replica, lambda c: lock_json(c, "album", [album, b"x" * 16])) == nobody


async def test_a_lock_is_held_by_the_device_that_set_it(replica: Replica) -> None:
    """By its name, and its id beside it; of several records the first that is locked."""
    one, other = [await create_album(replica.store, name, {}) for name in ("one", "other")]
    replica.store.write_here(lambda tx: tx.commit("album.lock", [Lock("album", other)]))
    held = within(replica, lambda c: lock_json(c, "album", [one, other]))
    assert held == {"locked_by": "device0", "locked_by_id": replica.identity.device.hex()}


@pytest.mark.parametrize(
    ("model", "lock", "kind"),
    [
        ("user_metadata", True, NotFoundError),
        ("user_metadata", False, NotFoundError),
        ("album", True, UsageError),
        ("tag", True, NotFoundError),
    ],
)
async def test_a_guard_that_cannot_be_meant_is_refused(
    replica: Replica, model: str, lock: bool, kind: type[LeaderlessError]
) -> None:
    """There is nothing to lock, or it is so already, or it is gone."""
    album = await create_album(replica.store, "best", {})
    replica.store.write_here(lambda tx: tx.commit("album.lock", [Lock("album", album)]))
    found = Reference(model, album, album)
    with pytest.raises(kind):
        within(replica, lambda c: check_guard(c, found, "it", lock=lock))


async def test_what_is_deleted_cannot_be_locked(replica: Replica) -> None:
    """The remedy is to look who deleted it."""
    album = await create_album(replica.store, "best", {})
    replica.store.write_here(lambda tx: tx.commit("album.delete", [Delete("album", album)]))
    found = Reference("album", album, album)
    with pytest.raises(NotFoundError, match="best is deleted"):
        within(replica, lambda c: check_guard(c, found, "best", lock=True))
