"""Membership statements at rest."""

from __future__ import annotations

from leaderless.protocol.membership import Signed
from leaderless.store.statements import keep_statements, statements
from tests.replicas import Replica, query_file
from tests.store.passing import within

ONE, TWO = Signed(b"one", b"1" * 64), Signed(b"two", b"2" * 64)


def _keep(replica: Replica, *items: Signed) -> int:
    return within(replica, lambda conn: keep_statements(conn, items, replica.clock.ms))


def test_how_many_are_new_is_told(replica: Replica) -> None:
    """A statement is new once."""
    assert [_keep(replica, ONE), _keep(replica, ONE, TWO), _keep(replica)] == [1, 1, 0]


def test_statements_are_kept_as_their_bytes(replica: Replica) -> None:
    """What was signed comes back exactly, beside the genesis that was there."""
    _keep(replica, ONE)
    assert ONE in within(replica, statements)


def test_the_order_of_arrival_leaves_no_trace(replicas: list[Replica]) -> None:
    """Whoever holds the same statements lists them alike."""
    a, b, _ = replicas
    for item in (ONE, TWO):
        _keep(a, item)
    for item in (TWO, ONE):
        _keep(b, item)
    assert within(a, statements) == within(b, statements)


def test_the_first_arrival_is_the_one_that_is_noted(replica: Replica) -> None:
    """A statement that comes again does not look younger than it is."""
    _keep(replica, ONE)
    first = replica.clock.ms
    replica.clock.ms += 1_000
    _keep(replica, ONE)
    query = "SELECT received_at FROM statement WHERE body = CAST('one' AS BLOB)"
    assert query_file(replica.store.path, query) == [(first,)]
