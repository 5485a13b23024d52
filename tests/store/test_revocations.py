"""What is known of devices that were revoked."""

from __future__ import annotations

from leaderless.protocol.checkpoint import Checkpoint
from leaderless.store import revocations
from leaderless.store.feeds import feed_of
from leaderless.store.revocations import Revoked
from leaderless.store.state import Copy
from registry.changes import Create, Incarnation, feed_id
from tests.replicas import Replica, add_tree
from tests.store.passing import log_of, own_feed, pull, store_commits, within
from tests.store.test_closing import revoke

FIRST, LATER = Incarnation(2, b"f" * 8), Incarnation(3, b"l" * 8)


def _revoked(
    below: int | None = None, named: tuple[Incarnation, int] | None = (FIRST, 5)
) -> Revoked:
    return Revoked(b"d" * 16, below, named)


def _word(incarnation: Incarnation, rev: int) -> Checkpoint:
    return Checkpoint(b"l" * 16, b"d" * 16, incarnation, rev, 0, bytes(256))


def _copy(incarnation: Incarnation, watermark: int) -> Copy:
    rest = (0, 0, bytes(256), None, 0, None)
    return Copy(1, b"d" * 16, incarnation, watermark, watermark, *rest)


def test_feeds_are_closed_below_the_generation_that_it_was_admitted_anew_with() -> None:
    """All of them while it is no member."""
    feeds = [feed_id(b"d" * 16, item) for item in (FIRST, LATER)]
    assert [_revoked(3).closes(feed) for feed in feeds] == [True, False]
    assert [_revoked().closes(feed) for feed in feeds] == [True, True]


def test_rows_are_taken_as_far_as_a_closing_commit_names_them() -> None:
    """Where none does, and without its word, none are; of a member all."""
    gone = _revoked()
    assert [gone.takes(_word(FIRST, rev)) for rev in (4, 5, 6)] == [True, True, False]
    assert not gone.takes(_word(LATER, 1))
    assert not gone.takes(None)
    assert not _revoked(named=None).takes(_word(FIRST, 1))
    assert _revoked(3).takes(None)


def test_nothing_more_is_wanted_once_what_is_named_is_here() -> None:
    """Nor where nothing is; of a member there may always be more."""
    gone = _revoked()
    held = [gone.is_settled(_copy(FIRST, rev)) for rev in (4, 5)]
    assert held == [False, True]
    assert not gone.is_settled(None)
    assert _revoked(named=None).is_settled(None)
    assert not _revoked(3).is_settled(_copy(LATER, 9))


def test_who_was_admitted_anew_is_not_without_membership(replica: Replica) -> None:
    """Though feeds of its earlier lives are closed."""
    rows = [(b"g" * 16, None), (b"m" * 16, 3)]
    insert = "INSERT INTO revoked (device, statement, below) VALUES (?, X'', ?)"
    within(replica, lambda conn: conn.exec_driver_sql(insert, rows))
    assert within(replica, revocations.without_membership) == {b"g" * 16}


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


def test_a_feed_of_who_was_admitted_anew_begins_open(replicas: list[Replica]) -> None:
    """From the generation on that it was admitted with; those before begin closed."""
    a, _, c = replicas
    device = c.identity.device
    insert = "INSERT INTO revoked (device, statement, below) VALUES (?, X'', 3)"
    within(a, lambda conn: conn.exec_driver_sql(insert, (device,)))
    begin = [
        within(a, lambda conn, of=of: revocations.begins_with(conn, feed_id(device, of)))  # type: ignore[misc]
        for of in (FIRST, LATER)
    ]
    assert begin == [0, None]


def test_the_next_generation_is_above_that_of_feeds_too(replicas: list[Replica]) -> None:
    """Of a later life there may be commits here and no row."""
    a, _, c = replicas
    revoke(a, c)
    device, late = c.identity.device, Incarnation(7, b"l" * 8)
    within(a, lambda conn: feed_of(conn, feed_id(device, late)))
    assert within(a, lambda conn: revocations.next_generation(conn, device)) == 8


def test_where_all_counts_nothing_is_left_behind(replicas: list[Replica]) -> None:
    """Such a device is not among them."""
    a, _, c = replicas
    c.store.write_here(lambda tx: tx.commit("t", [Create("tag", b"t" * 16)]))
    store_commits(a, *log_of(c, own_feed(c)))
    revoke(a, c)
    assert within(a, revocations.left_behind) == {}
