"""What the status says of this device's locations."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from leaderless.indexer.scan import Progress
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica, add_tree


async def test_locations_that_need_somebody_are_warned_of(tmp_path: Path, replica: Replica) -> None:
    """Blocked, offline and failed ones, each with its reason; idle ones not."""
    for name in ("blocked", "offline", "error", "idle"):
        add_tree(replica, 0, name)
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.indexer.wait_idle()
        await replica.store.write(
            lambda tx: tx.conn.exec_driver_sql(
                "UPDATE location SET scan_state = name, error_message = 'why'"
            )
        )
        alerts = (await rooms.overview.view()).warnings
        assert [(alert.code, alert.text) for alert in alerts] == [
            ("LOCATION_BLOCKED", "blocked: why"),
            ("LOCATION_ERROR", "error: why"),
            ("LOCATION_OFFLINE", "offline: why"),
        ]


async def test_the_progress_of_a_scan_is_shown(tmp_path: Path, replica: Replica) -> None:
    """While a location is scanned, its phase is; paths that failed are safe for a terminal."""
    location, _ = add_tree(replica, 0)
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.indexer.wait_idle()
        await replica.store.write(
            lambda tx: tx.conn.exec_driver_sql("UPDATE location SET scan_state = 'scanning'")
        )
        progress = Progress(started_ms=0)
        progress.phase, progress.entries_seen = "walking", 7
        progress.errors.add(b"/bad\x1b[31m", PermissionError(errno.EACCES, "no"))
        rooms.indexer.progress[location] = progress
        (scan,) = (await rooms.overview.view()).scans
        assert (scan.state, scan.entries_seen, scan.errors) == ("walking", 7, 1)
        assert scan.first_errors == (("/bad\\x1b[31m", os.strerror(errno.EACCES)),)


async def test_hashing_is_shown_also_where_no_folder_was_read(
    tmp_path: Path, replica: Replica
) -> None:
    """In a location that counts as idle meanwhile."""
    location, _ = add_tree(replica, 0)
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.indexer.wait_idle()
        await replica.store.write(
            lambda tx: tx.conn.exec_driver_sql("UPDATE location SET scan_state = 'idle'")
        )
        rooms.indexer.progress[location] = Progress(phase="hashing")
        (scan,) = (await rooms.overview.view()).scans
        assert scan.state == "hashing"
