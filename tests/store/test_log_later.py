"""Commits of a kind that only later versions know, and of whose content nothing is left."""

from __future__ import annotations

from leaderless.protocol import commits
from leaderless.protocol.hashing import digest
from leaderless.protocol.messages import SignedCommit
from leaderless.protocol.packing import pack, unpack
from leaderless.store import log, shelf
from registry.changes import Create, Update
from tests.replicas import Replica, open_replica
from tests.store.passing import log_of, own_feed, received, signed_anew, store_commits, within

TAG = b"t" * 16
LATER = 9


def _commit(replica: Replica, *edits: Create | Update) -> None:
    replica.store.write_here(lambda tx: tx.commit("tag.edit", edits))


def _of_kind(replica: Replica, item: log.Received, kind: int, body: bytes) -> log.Received:
    """Return a commit as another kind with another body, signed by its author."""
    fields = unpack(item.signed.header, 1 << 20)
    fields[1], fields[12], fields[13] = kind, digest(body), len(body)
    header = pack(fields)
    signature = replica.identity.sign(commits.signed_part(header))
    return received(SignedCommit(header, signature, body))


def _two_kinds(replicas: list[Replica]) -> list[log.Received]:
    """Return three commits of a device, the second of a later kind."""
    a, _, _ = replicas
    _commit(a, Create("tag", TAG, {"color": "red"}))
    _commit(a, Update("tag", TAG, {"color": "blue"}))
    _commit(a, Update("tag", TAG, {"color": "green"}))
    first, second, third = log_of(a, own_feed(a))
    later = _of_kind(a, second, LATER, b"what nobody here reads")
    return [first, later, signed_anew(a.identity, third, previous=later.hash)]


def test_a_commit_of_a_later_kind_waits_on_the_shelf(replicas: list[Replica]) -> None:
    """With all that follows it in its feed; the reason says what to do."""
    b = replicas[1]
    assert store_commits(b, *_two_kinds(replicas)) == [True, True, True]
    (waiting,) = within(b, shelf.waiting)
    assert (waiting.seq, waiting.waits_for) == (2, shelf.NEWER)
    assert within(b, lambda c: c.exec_driver_sql("SELECT color FROM tag").scalars().all()) == [
        "red"
    ]


def test_it_is_handed_on_as_it_was_signed(replicas: list[Replica]) -> None:
    """A device between that does not know the kind loses nothing of it."""
    items = _two_kinds(replicas)
    store_commits(replicas[1], *items)
    handed_on = log_of(replicas[1], items[0].header.feed)
    assert [item.signed for item in handed_on] == [item.signed for item in items]


def test_whose_clock_is_ahead_is_told_without_it(replicas: list[Replica]) -> None:
    """Whoever reads the whole log passes over what is not known here."""
    b = replicas[1]
    store_commits(b, *_two_kinds(replicas))
    assert within(b, lambda c: log.future_authors(c, 0, bytes(16))) != []


def test_what_waited_for_an_upgrade_takes_effect_at_the_start(replicas: list[Replica]) -> None:
    """No peer has to come by first."""
    a, b, _ = replicas
    _commit(a, Create("tag", TAG, {"color": "red"}))
    (item,) = log_of(a, own_feed(a))
    within(b, lambda c: log.receive(c, item, b.clock.ms))
    b.store.close()
    replicas[1] = open_replica(b.store.path.parent, 1)
    assert within(replicas[1], shelf.waiting) == []
    colors = within(
        replicas[1], lambda c: c.exec_driver_sql("SELECT color FROM tag").scalars().all()
    )
    assert colors == ["red"]
