"""The transaction manager: what a local edit writes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from leaderless.errors import NotFoundError, UsageError
from leaderless.ids import RecordIds
from leaderless.protocol import limits
from leaderless.store.engine import ConstraintError
from leaderless.store.holdings import read_holdings
from leaderless.store.store import Store
from leaderless.store.transaction import Transaction
from registry.changes import Create, Delete, Edit, Restore, Update
from registry.errors import RegistryError
from registry.hlc import Stamp
from tests.replicas import (
    START_MS,
    VOLUME_COLUMNS,
    Replica,
    add_tree,
    query_file,
)
from tests.store.passing import (
    Tree,
    batches,
    dump,
    entry,
    held,
    log_of,
    own_feed,
    pull,
    put_entries,
    said,
    signed_anew,
    store_commits,
    within,
)


def _commit(replica: Replica, *edits: Edit) -> bytes:
    return replica.store.write_here(lambda tx: tx.commit("tag.test", edits))


def _tag(replica: Replica, **fields: Any) -> bytes:
    tag = replica.store.ids.new()
    _commit(replica, Create("tag", tag, dict(fields.items())))
    return tag


def _stamps(replica: Replica) -> list[Stamp]:
    rows = query_file(replica.store.path, "SELECT stamp FROM commit_log ORDER BY seq")
    return [Stamp.parse(stamp) for (stamp,) in rows]


def _volume(replica: Replica, name: str) -> tuple[Any, ...]:
    return (replica.store.ids.new(), "uuid:1", name, *[None] * 8)


# --- owned rows -----------------------------------------------------------------------------------


def test_own_rows_are_proved_by_their_own_checkpoint(replica: Replica) -> None:
    """After every write the own copy is exact, signed and counts its rows."""
    add_tree(replica, 10)
    found = within(replica, read_holdings)
    assert found.unproved == {}
    assert found.owned[replica.identity.device].row_count == 14


def test_revs_are_given_in_the_order_of_the_rows(replica: Replica) -> None:
    """One counter runs over all models, without a gap."""
    tree = Tree(replica)
    put_entries(
        replica,
        *(entry(bytes([at]) * 16, tree.location, tree.root, b"%d" % at) for at in (3, 1, 2)),
    )
    query = "SELECT name, rev FROM entry WHERE parent IS NOT NULL ORDER BY rev"
    assert query_file(replica.store.path, query) == [(b"3", 5), (b"1", 6), (b"2", 7)]


def test_several_writes_of_one_transaction_are_one_checkpoint(replica: Replica) -> None:
    """Rows and deletes together are signed once, at the last rev."""

    def write(tx: Transaction) -> None:
        row = _volume(replica, "disk")
        tx.put("volume", VOLUME_COLUMNS, [row])
        tx.drop("volume", [row[0]])

    replica.store.write_here(write)
    word = said(next(batches(replica, replica)))
    assert word is not None
    assert (word.rev, word.row_count) == (3, 1)


def test_a_set_hash_forgets_what_was_dropped(replica: Replica) -> None:
    """Rows that came and went leave the hash as it was."""
    tree = Tree(replica)
    before = held(replica, replica).set_hash
    tree.put("gone")
    assert held(replica, replica).set_hash != before
    tree.drop("gone")
    assert held(replica, replica).set_hash == before


def test_booleans_are_stored_as_numbers(replica: Replica) -> None:
    """True and 1 are the same value, and hash alike everywhere."""
    row = _volume(replica, "disk")
    replica.store.write_here(lambda tx: tx.put("volume", VOLUME_COLUMNS, [(*row[:9], True, False)]))
    query = "SELECT is_removable, is_network FROM volume"
    assert query_file(replica.store.path, query) == [(1, 0)]


def test_a_transaction_that_writes_nothing_signs_nothing(replica: Replica) -> None:
    """Looking around, or putting no rows, leaves everything as it was."""
    before = dump(replica)
    replica.store.write_here(lambda tx: tx.put("volume", VOLUME_COLUMNS, []))
    assert dump(replica) == before


def test_a_checkpoint_can_be_signed_anew(replica: Replica) -> None:
    """Where the incarnation changed and no row did, the owner's word follows it."""

    def write(tx: Transaction) -> None:
        tx.conn.exec_driver_sql("UPDATE incarnation SET generation = 2, verified = -1")
        tx.sign_anew()

    replica.store.write_here(write)
    word = said(next(batches(replica, replica)))
    assert word is not None
    assert (word.incarnation.generation, word.rev) == (2, 1)


def test_a_reference_to_nothing_changes_nothing_and_uses_up_no_rev(replica: Replica) -> None:
    """The transaction is undone whole, and the next one goes on where the last one ended."""
    location, _ = add_tree(replica, 1)
    before = dump(replica)
    with pytest.raises(ConstraintError):
        put_entries(replica, entry(replica.store.ids.new(), location, b"x" * 16, b"f"))
    assert dump(replica) == before
    replica.store.write_here(
        lambda tx: tx.put("volume", VOLUME_COLUMNS, [_volume(replica, "disk")])
    )
    assert held(replica, replica).watermark == 6


@pytest.mark.parametrize("columns", [[], ["name"], ["name", "uuid"]])
def test_the_first_column_of_own_rows_is_their_id(replica: Replica, columns: list[str]) -> None:
    """Rows without an id in front are refused."""
    with pytest.raises(UsageError):
        replica.store.write_here(lambda tx: tx.put("device", columns, [("x",)]))


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.put("nothing", ["uuid", "name"], [(b"1" * 16, "x")]),
        lambda tx: tx.drop("nothing", [b"1" * 16]),
        lambda tx: tx.put("tag", ["uuid", "color"], [(b"1" * 16, "red")]),
        lambda tx: tx.put("volume", ["uuid", "fingerprint"], [(b"1" * 16, 5)]),
        lambda tx: tx.put("volume", ["uuid", "display_name"], [(b"1" * 16, "no fingerprint")]),
    ],
)
def test_rows_that_cannot_be_own_rows_change_nothing(
    replica: Replica, write: Callable[[Transaction], None]
) -> None:
    """Unknown and shared models, wrong types and missing values are refused."""
    before = dump(replica)
    with pytest.raises((UsageError, RegistryError, ConstraintError)):
        replica.store.write_here(write)
    assert dump(replica) == before


def test_rows_of_another_device_cannot_be_dropped(replicas: list[Replica]) -> None:
    """A tombstone of ours for a row that we do not own is refused."""
    a, b, _ = replicas
    pull(a, b, a)
    before = dump(b)
    with pytest.raises(RegistryError):
        b.store.write_here(lambda tx: tx.drop("device", [a.identity.device]))
    assert dump(b) == before


def test_a_row_that_no_peer_would_take_is_refused(replica: Replica) -> None:
    """What is beyond the limit of a row would stop everyone who reads us; it is not written."""
    before = dump(replica)
    row = _volume(replica, "x" * limits.MAX_ROW_BYTES)
    with pytest.raises(UsageError, match="larger than what other devices take"):
        replica.store.write_here(lambda tx: tx.put("volume", VOLUME_COLUMNS, [row]))
    assert dump(replica) == before


def test_a_file_without_a_library_has_no_own_rows(replica: Replica) -> None:
    """Whoever writes before a library was made is told what to do."""
    within(replica, lambda conn: conn.exec_driver_sql("DELETE FROM meta"))
    with pytest.raises(NotFoundError) as caught:
        put_entries(replica)
    assert caught.value.hint == "leaderless init"


# --- shared records -------------------------------------------------------------------------------


def test_a_commit_is_applied_in_the_transaction_that_writes_it(replica: Replica) -> None:
    """Record, log, visible table and cursor are there together."""
    _tag(replica, canonical_name="trip")
    query = "SELECT received, applied FROM feed"
    assert query_file(replica.store.path, query) == [(1, 1)]
    assert query_file(replica.store.path, "SELECT canonical_name FROM tag") == [("trip",)]


def test_a_command_is_named_in_its_commit(replica: Replica) -> None:
    """The id that is returned finds the commit, with its command and its time."""
    command_id = _commit(replica, Create("tag", replica.store.ids.new(), {}))
    query = "SELECT command_id, command, received_at FROM commit_log"
    assert query_file(replica.store.path, query) == [(command_id, "tag.test", START_MS)]


def test_other_devices_take_what_was_written(replicas: list[Replica]) -> None:
    """A commit is valid for whoever receives it, and has the same effect."""
    a, b, _ = replicas
    tag = _tag(a, canonical_name="trip", color="red")
    _commit(a, Update("tag", tag, {("aliases", "journey"): True, "color": None}))
    store_commits(b, *log_of(a, own_feed(a)))
    query = "SELECT * FROM tag"
    assert query_file(b.store.path, query) == query_file(a.store.path, query) != []


def test_a_commit_names_the_heads_it_builds_on_once(replicas: list[Replica]) -> None:
    """What changed since the author's last commit stands in the next one, and not again."""
    a, b, _ = replicas
    _tag(a)
    (theirs,) = log_of(a, own_feed(a))
    _tag(b)
    store_commits(b, theirs)
    _tag(b)
    _tag(b)
    named = [item.header.dependencies for item in log_of(b, own_feed(b))]
    assert named == [(), ((own_feed(a), 1, theirs.hash),), ()]


def test_a_commit_does_not_build_on_what_waits(replicas: list[Replica]) -> None:
    """The shelf is not part of what an author had seen."""
    a, b, c = replicas
    _tag(a)
    store_commits(c, *log_of(a, own_feed(a)))
    _tag(c)
    store_commits(b, *log_of(c, own_feed(c)))
    _tag(b)
    (mine,) = log_of(b, own_feed(b))
    assert mine.header.dependencies == ()


def test_stamps_rise_though_the_clock_steps_back(replica: Replica) -> None:
    """With the wall set back an hour, later commits still have later stamps."""
    _tag(replica)
    replica.clock.ms -= 3_600_000
    _tag(replica)
    stamps = _stamps(replica)
    assert stamps == sorted(set(stamps))


def test_stamps_rise_over_a_restart(replica: Replica) -> None:
    """A clock that was set back between two runs makes no lower stamp."""
    _tag(replica)
    replica.store.close()
    replica.clock.ms -= 3_600_000
    ids, sign = RecordIds(replica.clock), replica.identity.sign
    replica.store = Store(replica.store.path, replica.store.registry, replica.clock, ids, sign)
    replica.store.load()
    _tag(replica)
    stamps = _stamps(replica)
    assert stamps == sorted(set(stamps))


def test_a_value_of_the_future_can_be_replaced(replicas: list[Replica]) -> None:
    """Who has seen a value always wins over it, whatever the clocks say."""
    a, b, _ = replicas
    a.clock.ms += 365 * 86_400_000
    tag = _tag(a, color="red")
    store_commits(b, *log_of(a, own_feed(a)))
    _commit(b, Update("tag", tag, {"color": "green"}))
    store_commits(a, *log_of(b, own_feed(b)))
    for replica in (a, b):
        assert query_file(replica.store.path, "SELECT color FROM tag") == [("green",)]


def test_a_deleted_tag_comes_back_with_its_values(replica: Replica) -> None:
    """Restore brings the fields a tag had when it was deleted."""
    tag = _tag(replica, canonical_name="trip", color="red")
    _commit(replica, Delete("tag", tag))
    _commit(replica, Restore("tag", tag))
    query = "SELECT canonical_name, color FROM tag"
    assert query_file(replica.store.path, query) == [("trip", "red")]


def test_two_tags_of_one_name_stay_two(replica: Replica) -> None:
    """A name is no identity."""
    _tag(replica, canonical_name="vacation")
    _tag(replica, canonical_name="vacation")
    query = "SELECT count(*) FROM tag WHERE canonical_name = 'vacation'"
    assert query_file(replica.store.path, query) == [(2,)]


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [Create("entry", bytes(16), {})],
        [Create("nobody", bytes(16), {})],
        [Create("tag", bytes(16), {"nothing": 1})],
        [Create("tag", bytes(16), {"color": 5})],
        [Create("tag", bytes(16), {"aliases": "x"})],
        [Create("tag", bytes(16), {("color", "red"): "x"})],
        [Create("tag", bytes(16), {}), Update("tag", bytes(16), {"color": "red"})],
        [Create("tag", bytes(16), {}), Create("tag", bytes(16), {})],
        [Update("tag", bytes(16), {"color": "red"})],
        [Create("tag", bytes(16), {"description": "x" * (limits.MAX_HEAD_BYTES + 1)})],
        [Create("tag", bytes(15), {})],
        [Create("tag", b"n" * 16, {("aliases", ""): True})],
        [Create("tag", b"n" * 16, {("attributes", ""): "x"})],
    ],
)
def test_an_edit_that_cannot_be_meant_changes_nothing(replica: Replica, edits: list[Edit]) -> None:
    """Unknown models, fields and records, and what no other device would take, are refused."""
    with pytest.raises(UsageError):
        _commit(replica, *edits)
    assert _stamps(replica) == []
    assert query_file(replica.store.path, "SELECT * FROM tag") == []


def test_a_command_without_a_name_is_refused(replica: Replica) -> None:
    """A commit that other devices would call invalid is never written."""
    with pytest.raises(UsageError):
        replica.store.write_here(lambda tx: tx.commit("", [Create("tag", bytes(16), {})]))
    assert _stamps(replica) == []


def test_a_large_command_becomes_parts_of_one(replica: Replica) -> None:
    """More changes than a commit may hold travel as parts with one command id."""
    edits = [Create("tag", replica.store.ids.new(), {}) for _ in range(limits.MAX_CHANGES + 1)]
    _commit(replica, *edits)
    parts = [
        (item.header.part, item.header.parts, len(item.changes))
        for after in (0, 1)
        for item in log_of(replica, own_feed(replica), after)[:1]
    ]
    assert parts == [(1, 2, limits.MAX_CHANGES), (2, 2, 1)]
    query = "SELECT count(DISTINCT command_id) FROM commit_log"
    assert query_file(replica.store.path, query) == [(1,)]


def test_a_command_of_many_bytes_becomes_parts_too(replica: Replica) -> None:
    """Each part is within the size of a commit."""
    edits = [
        Create("tag", replica.store.ids.new(), {"description": "x" * 200_000}) for _ in range(60)
    ]
    _commit(replica, *edits)
    sizes = query_file(replica.store.path, "SELECT length(body) FROM commit_log")
    assert len(sizes) > 1
    assert max(sizes)[0] <= limits.MAX_BODY_BYTES


def test_one_command_may_edit_many_records(replica: Replica) -> None:
    """Changes of different records stand in one commit."""
    first = _tag(replica, color="red")
    _commit(replica, Delete("tag", first), Create("tag", replica.store.ids.new(), {}))
    assert query_file(replica.store.path, "SELECT count(*) FROM commit_log") == [(2,)]


def test_an_own_feed_that_was_forked_takes_no_more(replica: Replica) -> None:
    """Whose key signed another commit at one position writes on in a new incarnation only."""
    _tag(replica)
    (first,) = log_of(replica, own_feed(replica))
    store_commits(replica, signed_anew(replica.identity, first, command="tag.other"))
    with pytest.raises(UsageError, match="new incarnation"):
        _tag(replica)
    assert len(_stamps(replica)) == 2  # those of the fork
