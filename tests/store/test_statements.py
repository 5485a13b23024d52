"""Membership statements at rest."""

from __future__ import annotations

from leaderless.protocol.membership import Signed
from leaderless.store import meta, restoring
from leaderless.store.statements import keep_statements, statements
from tests.replicas import Replica, query_file
from tests.store.passing import held, within
from tests.store.test_closing import admit_anew
from tests.store.test_restoring import NONCE, hear, life, word

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


def test_who_was_admitted_anew_unknown_to_it_takes_its_rows_back(replicas: list[Replica]) -> None:
    """It goes on where it is a member again, though nobody has heard of what it did there before."""
    a, b, c = replicas
    admit_anew(a, b, c, since=5)
    assert [life(replica) for replica in replicas] == ["", "", restoring.RESTORING]
    begun = c.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert begun is not None
    assert begun.incarnation.generation == 5
    admit_anew(a, b, c, since=5)
    assert life(c) == ""


def test_what_it_began_when_it_joined_is_no_second_machines(replicas: list[Replica]) -> None:
    """Though it had gone on, and was superseded, within a day; but what comes on top of that is."""
    a, b, c = replicas
    within(c, lambda conn: meta.put(conn, meta.SUPERSEDED, c.clock.ms))
    admit_anew(a, b, c, since=2)
    assert hear(c, word(c, generations=1))
    assert life(c) == restoring.RESTORING
    c.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert held(c, c).incarnation.generation == 3
    assert not hear(c, word(c, generations=1))
    assert life(c) == restoring.CLONED
