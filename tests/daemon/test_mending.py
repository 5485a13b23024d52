"""Before a start: a damaged database is replaced, and the service manager asked for patience."""

from __future__ import annotations

import pytest
import structlog

from leaderless.daemon.mending import ASK_S, MORE_US, mend_before_start
from leaderless.notify import Notifier
from leaderless.store import repair
from leaderless.store.disk import DamagedError
from leaderless.store.snapshots import fault_of, take
from tests.replicas import START_MS, Replica, SteppedClock, add_tree
from tests.store.damage import damage

NONCE = b"new life"


class Heard(Notifier):
    """A line to a manager that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__({})
        self.lines: list[str] = []

    def tell(self, *lines: str) -> None:
        """Keep what is told."""
        self.lines += lines


class Hasty(SteppedClock):
    """A clock that gets on each time that it is read."""

    def monotonic(self) -> float:
        """Return a time that is half of the patience later."""
        self.seconds += ASK_S / 2
        return self.seconds


def test_a_damaged_database_is_replaced_and_that_is_logged(replica: Replica) -> None:
    """Where the damaged file is stands in the log."""
    add_tree(replica, 500)
    path = replica.store.path
    take(path, START_MS, lambda: True)
    replica.store.close()
    damage(path)
    repair.suspect(path)
    with structlog.testing.capture_logs() as logged:
        mend_before_start(path, replica.clock, NONCE, Heard())
    assert fault_of(path) is None
    (event,) = logged
    assert event["event"] == "database_replaced"
    assert path.with_name(event["aside"]).exists()


def test_a_sound_database_is_not_worth_a_word(replica: Replica) -> None:
    """Neither in the log nor to the manager: it was looked at in no time."""
    heard = Heard()
    with structlog.testing.capture_logs() as logged:
        mend_before_start(replica.store.path, replica.clock, NONCE, heard)
    assert (logged, heard.lines) == ([], [])


def test_a_look_that_takes_long_asks_for_time(replica: Replica) -> None:
    """Again and again, as long as it gets on."""
    add_tree(replica, 20_000)
    heard = Heard()
    mend_before_start(replica.store.path, Hasty(), NONCE, heard)
    assert set(heard.lines) == {f"EXTEND_TIMEOUT_USEC={MORE_US}"}


def test_damage_without_a_snapshot_is_raised(replica: Replica) -> None:
    """Nothing is logged as replaced that was not."""
    add_tree(replica, 500)
    path = replica.store.path
    replica.store.close()
    kept = path.read_bytes()
    damage(path)
    repair.suspect(path)
    with pytest.raises(DamagedError):
        mend_before_start(path, replica.clock, NONCE, Heard())
    path.write_bytes(kept)
