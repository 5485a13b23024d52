"""Counting again what is held, and mending what was damaged."""

from __future__ import annotations

from typing import Any

from leaderless.store import given_back, meta, restoring
from leaderless.store.state import copy_of
from leaderless.store.verification import Count, mend, verify
from registry.changes import Create, Update
from tests.replicas import Replica, add_tree, query_file
from tests.store.passing import batches, dump, held, log_of, own_feed, pull, store_commits, within

NONCE = b"nonce--8"
TAG = b"t" * 16


def counts(replica: Replica) -> dict[bytes | None, Count]:
    """Return what is counted at a replica, by owner."""
    return {
        count.owner: count for count in within(replica, lambda c: verify(c, replica.store.registry))
    }


def faults(replica: Replica) -> list[bytes | None]:
    """Return the owners whose rows are not what they should be; None for the shared records."""
    return [owner for owner, count in counts(replica).items() if count.fault is not None]


def mended(replica: Replica) -> list[bytes | None]:
    """Mend a replica; return whose rows were wrong."""
    return [count.owner for count in replica.store.write_here(lambda tx: mend(tx, NONCE))]


def damage(replica: Replica, statement: str, *values: Any) -> None:
    """Change the file behind everybody's back."""
    within(replica, lambda c: c.exec_driver_sql(statement, values))


def _meet(source: Replica, target: Replica) -> None:
    pull(source, target, source)
    store_commits(target, *log_of(source, own_feed(source)))


def _two(replicas: list[Replica]) -> tuple[Replica, Replica]:
    """Return two devices, the second with all that the first has."""
    a, b, _ = replicas
    add_tree(a, 5)
    a.store.write_here(lambda tx: tx.commit("tag.create", [Create("tag", TAG, {"color": "red"})]))
    a.store.write_here(lambda tx: tx.commit("tag.set", [Update("tag", TAG, {"icon": "sun"})]))
    _meet(a, b)
    return a, b


def test_what_is_held_counts_as_it_was_kept(replicas: list[Replica]) -> None:
    """Of every owner and of the shared records; whoever waits hears how far it is."""
    a, b = _two(replicas)
    heard: list[int] = []
    within(b, lambda c: verify(c, b.store.registry, heard.append))
    assert faults(b) == []
    found = counts(b)
    assert (found[a.identity.device].rows, found[None].rows) == (9, 1)
    assert heard[-1] == sum(count.rows for count in found.values())


def test_another_owners_row_that_changed_here_is_found_and_fetched_anew(
    replicas: list[Replica],
) -> None:
    """Its copy is empty after that, and then as before."""
    a, b = _two(replicas)
    before = held(b, a)
    damage(b, "UPDATE entry SET size_bytes = 9 WHERE name = ?", b"file1")
    assert faults(b) == [a.identity.device]
    assert mended(b) == [a.identity.device]
    assert held(b, a).watermark == 0
    pull(a, b, a)
    assert (faults(b), held(b, a)[3:8]) == ([], before[3:8])


def test_an_own_row_that_changed_goes_on_in_a_new_incarnation(replicas: list[Replica]) -> None:
    """Nobody knows better, so everybody reads it as it is now, and what is gone here is gone."""
    a, b = _two(replicas)
    damage(a, "UPDATE entry SET size_bytes = 9 WHERE name = ?", b"file1")
    damage(a, "DELETE FROM entry WHERE name = ?", b"file2")
    assert faults(a) == [a.identity.device]
    assert mended(a) == [a.identity.device]
    assert faults(a) == []
    pull(a, b, a)
    query = "SELECT name, size_bytes FROM entry ORDER BY name"
    assert query_file(a.store.path, query) == query_file(b.store.path, query)
    assert (faults(b), held(b, a).verified) == ([], held(a, a).watermark)


def test_own_rows_that_changed_are_signed_once_peers_have_given_back_theirs(
    replicas: list[Replica],
) -> None:
    """In a later incarnation nothing could be taken back, so it does not begin before that."""
    a, b = _two(replicas)
    before, query = held(a, a), "SELECT name, size_bytes FROM entry ORDER BY name"
    rows = query_file(a.store.path, query)
    a.store.write_here(restoring.begin)
    damage(a, "UPDATE entry SET size_bytes = 9 WHERE name = ?", b"file1")
    assert mended(a) == [a.identity.device]
    assert (faults(a), held(a, a).incarnation) == ([], before.incarnation)
    for batch in batches(b, a):
        within(a, lambda c, batch=batch: given_back.keep(c, batch, b.identity.device))
    a.store.write_here(given_back.take)
    assert query_file(a.store.path, query) == rows
    begun = a.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert begun is not None
    assert (faults(a), begun.incarnation) == (
        [],
        before.incarnation._replace(generation=2, nonce=NONCE),
    )


def test_a_record_that_changed_is_made_anew_from_the_log(replicas: list[Replica]) -> None:
    """What the tables show of it, too."""
    a, b = _two(replicas)
    damage(b, "UPDATE record SET state = x'93909090'")
    assert faults(b) == [None]
    assert mended(b) == [None]
    assert faults(b) == []
    queries = ("SELECT uuid, color, icon FROM tag", "SELECT uuid, state FROM record")
    assert dump(a, queries) == dump(b, queries)


def test_where_nothing_is_wrong_nothing_is_mended(replicas: list[Replica]) -> None:
    """No row, no incarnation and no hash changes."""
    a, _ = _two(replicas)
    before = dump(a)
    assert mended(a) == []
    assert dump(a) == before


def test_a_copy_that_is_not_what_its_owner_signed_is_wrong_however_it_counts(
    replicas: list[Replica],
) -> None:
    """That was found when its checkpoint came."""
    a, b = _two(replicas)
    damage(b, "UPDATE incarnation SET fault = 'no' WHERE device = ?", a.identity.device)
    assert counts(b)[a.identity.device].fault == "no"
    assert mended(b) == [a.identity.device]
    assert within(b, lambda c: copy_of(c, a.identity.device)) is not None


def test_the_shared_hash_alone_may_be_wrong(replicas: list[Replica]) -> None:
    """Then it is what is mended."""
    a, _ = _two(replicas)
    right = within(a, lambda c: meta.get(c, meta.SHARED_HASH))
    within(a, lambda c: meta.put(c, meta.SHARED_HASH, bytes(256)))
    assert mended(a) == [None]
    assert within(a, lambda c: meta.get(c, meta.SHARED_HASH)) == right
