"""What the status report says of the database, with the names that people know."""

from __future__ import annotations

from pathlib import Path

from registry.changes import Create, Update
from tests.daemon.rooms import open_rooms
from tests.replicas import make_replicas
from tests.store.passing import log_of, own_feed, pull, store_commits

TAG = b"t" * 16


async def test_what_waits_names_the_device_that_it_waits_for(tmp_path: Path) -> None:
    """By its name, not by the id that the log knows."""
    a, b, c = replicas = make_replicas(tmp_path, 3)
    b.store.write_here(lambda tx: tx.commit("tag.create", [Create("tag", TAG, {})]))
    store_commits(c, *log_of(b, own_feed(b)))
    c.store.write_here(lambda tx: tx.commit("tag.set", [Update("tag", TAG, {"color": "red"})]))
    for other in (b, c):
        pull(other, a, other)
    store_commits(a, *log_of(c, own_feed(c)))
    async with open_rooms(tmp_path, a) as rooms:
        view = await rooms.overview.view()
        told = [alert.text for alert in view.warnings if alert.code == "SHELVED"]
        assert told == ["commit 1 of device2 waits for commit 1 of device1"]
    for replica in replicas:
        replica.store.close()
