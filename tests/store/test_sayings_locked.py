"""What was locked of a file that was found twice is locked under the id that stays."""

from __future__ import annotations

from entities.user_metadata import metadata_id
from leaderless.store.registers import read_state
from leaderless.store.since_backup import Regained
from registry.changes import Lock
from tests.store.passing import within
from tests.store.test_sayings import Twice, twice

__all__ = ["twice"]


def test_a_lock_follows_to_the_id_that_stays(twice: Twice) -> None:
    """What this device has locked is under its lock there, and may be unlocked as ever."""
    twice.note(twice.ours, note="ours")
    twice.say(Lock("user_metadata", metadata_id("entry", twice.ours)))
    assert twice.returned().regained == Regained(joined=1)
    own = twice.device.identity.device
    record = metadata_id("entry", twice.theirs)
    held = within(twice.device, lambda c: read_state(c, "user_metadata", record))
    assert held.locked_by == own
    assert twice.shown("note, target", "user_metadata") == [("ours", twice.theirs)]
