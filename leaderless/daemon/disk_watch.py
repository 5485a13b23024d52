"""What the daemon does when the disk fails: stays up, says so, tries again, and goes on by itself.

Each try is one file and one small write, at waits that grow. The rooms wait for `Disk.until_well`;
whatever peers had sent meanwhile was not acknowledged and is asked for again. Damage is no matter of
waiting: it ends the daemon, and its next start mends it (store/repair.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import trio

from leaderless.status.report import Alert
from leaderless.store.disk import DamagedError, DiskFullError
from leaderless.store.repair import suspect
from leaderless.sync.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from leaderless.store import Store
    from leaderless.store.disk import Disk, DiskError
    from leaderless.store.repair import Replaced

BACKOFF: Final = Backoff(1.0, 10.0)
TOLD_MS: Final = 7 * 86_400_000
"""So long it is told that the database was replaced, unless somebody says that it was seen."""
CALM_S: Final = 60.0
"""A disk that fails again within this time is tried at waits that go on growing."""


async def watch_disk(
    store: Store,
    chance: Callable[[], float],
    tell: Callable[[str, Mapping[str, object]], None],
    recovered: Callable[[], Awaitable[None]],
) -> None:
    """See to the disk for ever; raises DamagedError if it has changed what was written.

    `recovered` is awaited each time that the disk is well again.
    """
    failures, well_since = 0, float("-inf")
    while True:
        error = (await store.disk.until_ill()).error
        tell("disk_failed", {"code": error.code, "why": error.message})
        if trio.current_time() > well_since + CALM_S:
            failures = 0
        while True:
            _end_if_damaged(store)
            await trio.sleep(BACKOFF.wait_s(failures, chance()))
            failures += 1
            if await store.heal():
                break
        well_since = trio.current_time()
        tell("disk_recovered", {})
        await recovered()


def _end_if_damaged(store: Store) -> None:
    trouble = store.disk.trouble
    if trouble is not None and isinstance(trouble.error, DamagedError):
        # Whatever else ends with it: the next start knows what to look for.
        suspect(store.path)
        raise trouble.error


def _what_of_edits(error: DiskError) -> str:
    """Return what becomes of edits while a disk is ill: not all fail as the one that showed it."""
    if isinstance(error, DiskFullError):
        return "; what does not fit is not written, and an edit that still fits is kept"
    return "" if isinstance(error, DamagedError) else "; an edit that fails changes nothing"


def disk_alerts(disk: Disk, replaced: Replaced | None, now_ms: int) -> list[Alert]:
    """Return what a person should know of the disk, and for a week of what it has damaged."""
    alerts = []
    if disk.trouble is not None:
        error = disk.trouble.error
        alerts.append(Alert(error.code.upper(), error.trouble + _what_of_edits(error), error.hint))
    if replaced is not None and now_ms < replaced.at_ms + TOLD_MS:
        taken = datetime.fromtimestamp(replaced.of_ms / 1_000, UTC)
        alerts.append(
            Alert(
                "DATABASE_REPLACED",
                "the database was damaged and is replaced by its snapshot of"
                f" {taken:%Y-%m-%d %H:%M} UTC; what peers hold beyond that comes from them;"
                f" the damaged file is {replaced.aside}",
                "leaderless status --acknowledge",
            )
        )
    return alerts
