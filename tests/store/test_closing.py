"""Closed feeds at rest: what counts, what a closing commit names, and what is done about it."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.daemon.members import admission, revocation
from leaderless.protocol import commits
from leaderless.store import awaited, closing, log, meta, restoring, revocations, shelf, state
from leaderless.store.holdings import read_holdings
from leaderless.store.statements import take_statements
from registry.changes import CommitKind, Create, Dependency, Incarnation
from tests.replicas import Replica, query_file
from tests.store.passing import chained, log_of, own_feed, pull, signed_anew, store_commits, within

CLOSING = "SELECT header FROM commit_log WHERE command = 'device.revoke'"


def revoke(by: Replica, subject: Replica, *also: Replica) -> None:
    """Let one device revoke another, and others hear of it."""
    store = by.store
    members = store.write_here(lambda tx: take_statements(tx, []))
    said = revocation(by.identity, members, subject.identity.device, by.clock.ms, b"n" * 16)
    for replica in (by, *also):
        replica.store.write_here(lambda tx: take_statements(tx, [said]))


def _edit(replica: Replica, times: int = 1) -> list[log.Received]:
    for _ in range(times):
        tag = replica.store.ids.new()
        replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", tag, {})]))  # noqa: B023
    return log_of(replica, own_feed(replica))


def _closing(replica: Replica) -> list[Any]:
    found = query_file(replica.store.path, CLOSING)
    return [commits.decode_header(header) for (header,) in found]


def _feed(replica: Replica, of: Replica) -> log.Feed:
    feed = within(replica, lambda conn: log.feed_of_or_none(conn, own_feed(of)))
    assert feed is not None
    return feed


def test_a_closing_commit_names_what_was_applied_and_the_rows_that_are_held(
    replicas: list[Replica],
) -> None:
    """It changes nothing; the same revoke is closed once."""
    a, _, c = replicas
    store_commits(a, *_edit(c, 2))
    pull(c, a, c)
    revoke(a, c)
    a.store.write_here(closing.close_pending)
    (header,) = _closing(a)
    rev = within(a, lambda conn: state.copy_of(conn, c.identity.device)).watermark
    assert header.kind is CommitKind.CLOSING
    assert [tuple(item)[:2] for item in header.dependencies] == [(own_feed(c), 2)]
    assert header.data == {
        "closes": c.identity.device,
        "by": a.identity.device,
        "statement": query_file(a.store.path, "SELECT statement FROM revoked")[0][0],
        "generation": 1,
        "nonce": b"\x03" * 8,
        "rev": rev,
    }


def test_who_knows_nothing_of_a_revoked_device_has_nothing_to_close(
    replicas: list[Replica],
) -> None:
    """No commit is written that says nothing."""
    a, _, c = replicas
    revoke(a, c)
    assert _closing(a) == []


def test_what_is_closed_is_not_taken_until_somebody_builds_on_it(replicas: list[Replica]) -> None:
    """A commit of an open feed that refers to it opens it so far, whichever comes first."""
    a, b, c = replicas
    made = _edit(c, 3)
    revoke(a, c)
    assert store_commits(a, *made) == [False] * 3
    store_commits(b, *made[:2])
    store_commits(a, *_edit(b))
    assert store_commits(a, *made) == [True, True, False]
    assert (_feed(a, c).applied, _feed(a, c).counts) == (2, 2)


def test_what_came_before_it_was_known_counts_once_it_is_referred_to(
    replicas: list[Replica],
) -> None:
    """Also through commits of another closed feed that waited here."""
    a, b, c = replicas
    made = _edit(c, 2)
    store_commits(b, *made)
    built = _edit(b)
    within(a, lambda conn: [log.receive(conn, item, 0) for item in (*made, *built)])
    revoke(a, b)
    revoke(a, c)
    assert within(a, revocations.left_behind) == {b.identity.device: 1, c.identity.device: 2}
    assert (
        query_file(a.store.path, "SELECT counts FROM feed WHERE counts IS NOT NULL") == [(0,)] * 2
    )
    (first,) = _edit(a)
    upon = Dependency(own_feed(b), 1, built[0].hash)
    header = signed_anew(a.identity, first, dependencies=(upon,)).header
    within(a, lambda conn: closing.note(conn, header))
    assert (_feed(a, b).counts, _feed(a, c).counts) == (1, 2)


def test_what_does_not_count_is_no_fault_whatever_it_follows_from(replicas: list[Replica]) -> None:
    """Of a branch the first commit is kept, and not the second: so the third follows from nothing."""
    a, _, c = replicas
    made = _edit(c, 4)
    first = signed_anew(c.identity, made[1], command="other")
    store_commits(a, *made)
    revoke(a, c)
    twin = chained(c.identity, first, *made[2:])
    assert store_commits(a, *twin) == [True, False, False]
    assert within(a, read_holdings).doubted == frozenset()


def test_branches_that_a_closing_commit_names_are_taken_by_who_knows_of_no_fork(
    replicas: list[Replica],
) -> None:
    """What comes of the first of them stands in the feed that it is to end until the other is here."""
    a, b, c = replicas
    made = _edit(c, 3)
    twin = chained(c.identity, signed_anew(c.identity, made[1], command="other"), made[2])
    store_commits(a, made[0])
    store_commits(b, *made, *twin)
    revoke(b, c, a)
    b.store.write_here(closing.close_pending)
    store_commits(a, *log_of(b, own_feed(b)))
    for branch in (made[1:], twin):
        assert store_commits(a, *branch) == [True, True]
    for replica in (a, b):
        held = [feed for feed in within(replica, log.feeds) if feed.feed[:16] == c.identity.device]
        assert [(feed.applied, feed.counts) for feed in held] == [(1, 1), (3, 3), (3, 3)]
        assert within(replica, awaited.lacking) == {}


def test_the_first_commit_of_a_branch_is_wanted_once_the_other_branch_counts(
    replicas: list[Replica],
) -> None:
    """While neither counts nobody has to know of the fork: it is passed over, and told to nobody."""
    a, b, c = replicas
    made = _edit(c, 2)
    upon = (Dependency(b.identity.device + own_feed(c)[16:], 9, bytes(32)),)
    other = signed_anew(c.identity, made[1], command="other", dependencies=upon)
    store_commits(b, *made)
    store_commits(a, made[0])
    within(a, lambda conn: log.receive(conn, made[1], 0))
    revoke(a, c)
    names = [own_feed(c)[:28] + item.hash[:16] for item in (made[1], other)]
    assert store_commits(a, other) == [False]
    positions = within(a, read_holdings).vectors.feeds
    assert [positions[name].received for name in names] == [0, 0]
    assert names[1] in within(a, read_holdings).closed
    store_commits(a, *_edit(b))
    assert names[1] not in within(a, read_holdings).closed
    assert store_commits(a, other) == [True]
    positions = within(a, read_holdings).vectors.feeds
    assert [positions[name].received for name in names] == [2, 2]


def test_a_closed_feed_is_not_doubted_for_what_it_does_not_take(replicas: list[Replica]) -> None:
    """It is not read again from its start, so nothing could ever take the doubt away."""
    a, _, c = replicas
    made = _edit(c, 2)
    store_commits(a, *made, signed_anew(c.identity, made[1], seq=3, previous=b"?" * 32))
    assert within(a, read_holdings).doubted == {own_feed(c)}
    revoke(a, c)
    found = within(a, read_holdings)
    assert (found.doubted, own_feed(c) in found.unproved) == (frozenset(), False)


def test_a_branch_is_not_made_by_its_name_alone(replicas: list[Replica]) -> None:
    """Where it begins is not told by who refers to it; it would look like a feed that begins at 1."""
    a, b, c = replicas
    made = _edit(c, 2)
    revoke(a, c)
    branch = made[0].header.feed[:28] + b"b" * 16
    upon = Dependency(branch, 2, made[1].hash)
    (first,) = _edit(b)
    header = signed_anew(b.identity, first, dependencies=(upon,)).header
    within(a, lambda conn: closing.note(conn, header))
    assert within(a, lambda conn: log.feed_of_or_none(conn, branch)) is None


def test_a_closed_feed_shows_what_counts_and_no_more(replicas: list[Replica]) -> None:
    """In positions, to others, and on the shelf."""
    a, _, c = replicas
    made = _edit(c, 3)
    store_commits(a, *made[:1])
    within(a, lambda conn: [log.receive(conn, item, 0) for item in made])
    revoke(a, c)
    feed = own_feed(c)
    position = within(a, read_holdings).vectors.feeds[feed]
    assert (position.received, position.applied) == (1, 1)
    batch = within(a, lambda conn: log.read_log(conn, feed, 0))
    assert batch is not None
    assert (batch.head, len(batch.commits)) == (1, 1)
    assert within(a, shelf.waiting) == []
    assert feed in within(a, read_holdings).closed


@pytest.mark.parametrize("word", [{"rev": 1 << 62}, {"nonce": b"short"}, {"closes": bytes(16)}])
def test_a_closing_commit_that_says_nonsense_names_nothing(
    replicas: list[Replica], word: dict[str, object]
) -> None:
    """Numbers beyond what there can be, and devices that nobody revoked."""
    a, b, c = replicas
    revoke(a, c)
    (first,) = _edit(b)
    data = {"closes": c.identity.device, "generation": 1, "nonce": bytes(8), "rev": 5, **word}
    forged = signed_anew(b.identity, first, kind=CommitKind.CLOSING, data=data)
    store_commits(a, forged)
    assert within(a, revocations.revoked)[c.identity.device].named is None


def test_the_newest_rows_that_are_named_are_taken_and_none_beyond(replicas: list[Replica]) -> None:
    """Of all closing commits the highest counts, in whatever order they come."""
    a, b, c = replicas
    revoke(a, c)
    device = c.identity.device
    made = _edit(b, 2)
    for item, rev in zip(made, (5, 3), strict=True):
        data = {"closes": device, "generation": 1, "nonce": bytes(8), "rev": rev}
        header = signed_anew(b.identity, item, kind=CommitKind.CLOSING, data=data).header
        within(a, lambda conn: closing.note(conn, header))  # noqa: B023
    known = within(a, revocations.revoked)[device]
    assert known.named == (Incarnation(1, bytes(8)), 5)
    assert (known.takes(None), known.is_settled(None)) == (False, False)


def test_a_restored_device_closes_once_it_may_write(replicas: list[Replica]) -> None:
    """What it owes is not forgotten meanwhile."""
    a, _, c = replicas
    store_commits(a, *_edit(c))
    within(a, lambda conn: meta.put(conn, meta.RESTORING, 1))
    revoke(a, c)
    assert _closing(a) == []
    a.store.write_here(lambda tx: restoring.claim(tx, b"nonce--8"))
    assert len(_closing(a)) == 1


def test_a_device_that_is_revoked_itself_closes_nothing(replicas: list[Replica]) -> None:
    """It knows since when; what it writes is for itself."""
    a, b, c = replicas
    store_commits(c, *_edit(b))
    revoke(a, c, c)
    first = within(c, lambda conn: meta.get(conn, meta.REVOKED))
    c.clock.ms += 5
    revoke(a, b, c)
    assert within(c, lambda conn: meta.get(conn, meta.REVOKED)) == first == c.clock.ms - 5
    assert _closing(c) == []


def admit_anew(host: Replica, *others: Replica, since: int) -> None:
    """Let a device revoke the last of some others, and admit it anew; and all hear of it."""
    device = others[-1]
    revoke(host, device, *others)
    members = host.store.write_here(lambda tx: take_statements(tx, []))
    about = (device.identity.certificate_der, "again", host.clock.ms, b"m" * 16, since)
    said = admission(host.identity, members, *about)
    for replica in (host, *others):
        replica.store.write_here(lambda tx: take_statements(tx, [said]))


@pytest.mark.parametrize("goes_on_first", [True, False])
def test_who_was_admitted_anew_names_what_a_backup_brought_back_of_closed_feeds(
    replicas: list[Replica], goes_on_first: bool
) -> None:
    """Once, in a feed that is open, whether it goes on before it hears that it was, or after that."""
    a, b, c = replicas
    made = _edit(c, 2)
    closed = made[0].header.feed
    store_commits(a, made[0])
    if goes_on_first:
        c.store.write_here(lambda tx: restoring.claim(tx, b"nonce--8"))
    admit_anew(a, b, c, since=2)
    if not goes_on_first:
        c.store.write_here(lambda tx: restoring.claim(tx, b"nonce--8"))
    c.store.write_here(lambda tx: restoring.claim(tx, b"nonce--9"))
    (naming,) = _naming(c)
    assert (naming.header.kind, naming.header.seq) == (CommitKind.CLOSING, 1)
    assert [tuple(item)[:2] for item in naming.header.dependencies] == [(closed, 2)]
    assert store_commits(a, naming) == [True]
    assert store_commits(a, made[1]) == [True]
    feed = within(a, lambda conn: log.feed_of_or_none(conn, closed))
    assert feed is not None
    assert (feed.applied, feed.counts) == (2, 2)


def _naming(replica: Replica) -> list[log.Received]:
    feeds = query_file(replica.store.path, "SELECT feed FROM feed WHERE received > 0")
    found = [item for (feed,) in feeds for item in log_of(replica, feed)]
    return [item for item in found if item.header.command == "device.restore"]


def test_who_has_nothing_of_closed_feeds_names_nothing(replicas: list[Replica]) -> None:
    """A device that never wrote anything before it was revoked."""
    a, b, c = replicas
    admit_anew(a, b, c, since=2)
    c.store.write_here(lambda tx: restoring.claim(tx, b"nonce--8"))
    assert _naming(c) == []


def test_rows_whose_proof_is_not_here_any_more_are_dropped(replicas: list[Replica]) -> None:
    """They were proved once; nobody else would believe them."""
    a, _, c = replicas
    pull(c, a, c)
    query = "UPDATE incarnation SET checkpoint_rev = checkpoint_rev + 1 WHERE device = ?"
    within(a, lambda conn: conn.exec_driver_sql(query, (c.identity.device,)))
    revoke(a, c)
    copy = within(a, lambda conn: state.copy_of(conn, c.identity.device))
    assert copy is not None
    assert (copy.watermark, copy.row_count) == (0, 0)
    assert _closing(a) == []
