"""What is known of devices that were revoked."""

from __future__ import annotations

from leaderless.store import revocations
from registry.changes import Incarnation, feed_id
from tests.replicas import Replica, add_tree
from tests.store.passing import pull, within
from tests.store.test_closing import revoke


def test_feeds_of_a_revoked_device_begin_closed(replicas: list[Replica]) -> None:
    """Those of anybody else, and those that nobody knew of, are open or closed like theirs."""
    a, b, c = replicas
    revoke(a, c)
    begin = [
        within(
            a,
            lambda conn, of=of: revocations.begins_with(
                conn, feed_id(of, Incarnation(7, bytes(8)))
            ),
        )  # type: ignore[misc]
        for of in (b.identity.device, c.identity.device)
    ]
    assert begin == [None, 0]


def test_the_next_generation_is_above_all_that_is_known(replicas: list[Replica]) -> None:
    """Of one that was never revoked nothing is asked."""
    a, _, c = replicas
    device = c.identity.device
    assert within(a, lambda conn: revocations.next_generation(conn, device)) == 0
    add_tree(c, 1)
    pull(c, a, c)
    revoke(a, c)
    assert within(a, lambda conn: revocations.next_generation(conn, device)) == 2
