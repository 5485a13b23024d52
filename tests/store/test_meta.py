"""Single facts about the file."""

from __future__ import annotations

from leaderless.store import meta
from registry.hlc import Clock
from tests.replicas import Replica
from tests.store.passing import within


def test_a_fact_that_was_never_written_is_none(replica: Replica) -> None:
    """Asking for it is no error."""
    assert within(replica, lambda conn: meta.get(conn, "nothing")) is None


def test_a_fact_is_what_was_written_last(replica: Replica) -> None:
    """Writing it again replaces it."""
    for value in (b"one", 2, "three"):
        within(replica, lambda conn, value=value: meta.put(conn, "fact", value))  # type: ignore[misc]
    assert within(replica, lambda conn: meta.get(conn, "fact")) == "three"


def test_devices_are_listed_in_their_order_and_once(replica: Replica) -> None:
    """A list of none is a fact that was never written."""
    c, b = b"c" * 16, b"b" * 16
    for listed, held in [([c, b, c], (b, c)), ([], ())]:
        within(replica, lambda conn, some=listed: meta.put_devices(conn, "fact", some))  # type: ignore[misc]
        assert within(replica, lambda conn: meta.devices(conn, "fact")) == held
    assert within(replica, lambda conn: meta.get(conn, "fact")) is None


def test_a_clock_begins_at_nothing(replica: Replica) -> None:
    """Before the first commit the clock has seen no time."""
    assert within(replica, meta.clock) == Clock(0, 0)


def test_a_clock_is_durable(replica: Replica) -> None:
    """Milliseconds and counter come back as they were put."""
    within(replica, lambda conn: meta.put_clock(conn, Clock(1_700_000_000_000, 42)))
    assert within(replica, meta.clock) == Clock(1_700_000_000_000, 42)


def test_paused_locations_are_told_from_other_facts(replica: Replica) -> None:
    """One fact each, which can be forgotten alone."""
    a, b = b"a" * 16, b"\xff" * 16
    for name in ("paused", "paused0", meta.paused(a), meta.paused(b)):
        within(replica, lambda conn, name=name: meta.put(conn, name, 1))  # type: ignore[misc]
    assert within(replica, meta.paused_locations) == {a, b}
    within(replica, lambda conn: meta.drop(conn, meta.paused(a)))
    assert within(replica, meta.paused_locations) == {b}
