"""Shared records at rest: the packed memory, the journal, the set hash, the visible table."""

from __future__ import annotations

from typing import Any

import msgpack

from leaderless.protocol import hashing
from leaderless.protocol.records import decode_ref
from leaderless.store import meta
from leaderless.store.registers import Records, read_state
from registry.changes import (
    Create,
    Delete,
    Dismiss,
    Dot,
    Edit,
    FieldWrite,
    Form,
    RecordId,
    Restore,
    SharedChange,
    Update,
)
from registry.hlc import Stamp
from registry.state import RecordState
from tests.replicas import Replica, query_file
from tests.store.passing import log_of, own_feed, store_commits, within

TAG = RecordId(b"t" * 16)
_JOURNAL = "SELECT field, value FROM journal ORDER BY id"
_STAMP = Stamp(1_800_000_000_000, 0, 1)
_DOT = Dot(b"f" * 44, 1)


def _edit(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1
    replica.store.write_here(lambda tx: tx.commit("tag.test", edits))


def _exchange(*replicas: Replica) -> None:
    """Give each the commits of all."""
    for source in replicas:
        for target in replicas:
            store_commits(target, *log_of(source, own_feed(source)))


def _met(replicas: list[Replica], mine: Edit, theirs: Edit) -> tuple[Replica, Replica]:
    """Let two devices edit one tag at once, and meet."""
    a, b, _ = replicas
    _edit(a, Create("tag", TAG, {"color": "blue"}))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(a, mine)
    b.clock.ms += 1_000
    _edit(b, theirs)
    _exchange(a, b)
    return a, b


def _journal(replica: Replica) -> list[tuple[Any, ...]]:
    return [
        (field, msgpack.unpackb(value)) for field, value in query_file(replica.store.path, _JOURNAL)
    ]


def _shared_hash(replica: Replica) -> bytes:
    found: bytes = within(replica, lambda conn: meta.get(conn, meta.SHARED_HASH))
    return found


def test_what_loses_is_in_the_journal_of_both(replicas: list[Replica]) -> None:
    """The earlier of two edits is kept, with its value, wherever they met."""
    mine, theirs = Update("tag", TAG, {"color": "red"}), Update("tag", TAG, {"color": "green"})
    for replica in _met(replicas, mine, theirs):
        assert _journal(replica) == [("color", "red")]


def test_an_edit_that_a_delete_had_not_seen_is_in_the_journal(replicas: list[Replica]) -> None:
    """The delete wins, and what it took away unseen can be found."""
    for replica in _met(replicas, Update("tag", TAG, {"color": "red"}), Delete("tag", TAG)):
        assert ("color", "red") in _journal(replica)


def test_an_edit_that_its_own_author_replaced_leaves_the_journal(
    replicas: list[Replica],
) -> None:
    """Who corrects a value that had lost to another's settles it; the other is the loser now."""
    a, b, c = replicas
    _edit(a, Create("tag", TAG, {"color": "blue"}))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(a, Update("tag", TAG, {"color": "red"}))
    b.clock.ms += 1_000
    _edit(b, Update("tag", TAG, {"color": "green"}))
    store_commits(c, *log_of(a, own_feed(a)), *log_of(b, own_feed(b)))
    assert _journal(c) == [("color", "red")]
    a.clock.ms += 2_000
    _edit(a, Update("tag", TAG, {"color": "crimson"}))
    store_commits(c, *log_of(a, own_feed(a)))
    assert _journal(c) == [("color", "green")]


def test_a_shown_loss_leaves_the_journal(replicas: list[Replica]) -> None:
    """A value that is seen again, as what hid it died, is no conflict any more."""
    a, b, _ = replicas
    for replica, color in ((a, "red"), (b, "green")):
        replica.clock.ms += 1
        _edit(replica, Create("tag", TAG, {"color": color}))
    (late,) = log_of(b, own_feed(b))
    store_commits(a, late)
    _edit(b, Delete("tag", TAG))
    _exchange(a, b)
    assert query_file(a.store.path, "SELECT color FROM tag") == [("red",)]
    assert "red" not in [value for _, value in _journal(a)]


def test_equal_records_have_equal_hashes(replicas: list[Replica]) -> None:
    """Two devices that merged in different orders have the same set hash."""
    mine, theirs = Update("tag", TAG, {"color": "red"}), Update("tag", TAG, {"icon": "sun"})
    a, b = _met(replicas, mine, theirs)
    assert _shared_hash(a) == _shared_hash(b)


def test_a_dead_record_is_out_of_the_hash(replica: Replica) -> None:
    """What was made and deleted leaves the hash as it was."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    assert _shared_hash(replica) != hashing.EMPTY_SET
    _edit(replica, Delete("tag", TAG))
    assert _shared_hash(replica) == hashing.EMPTY_SET


def test_a_dead_record_keeps_its_fields_for_a_restore(replica: Replica) -> None:
    """They are there while it is dead, and not any more once it lives."""
    kept = "SELECT state IS NULL, remains IS NULL FROM record"
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _edit(replica, Delete("tag", TAG))
    assert query_file(replica.store.path, kept) == [(1, 0)]
    _edit(replica, Restore("tag", TAG))
    assert query_file(replica.store.path, kept) == [(0, 1)]


def test_a_record_without_fields_dies_without_a_memory(replica: Replica) -> None:
    """Nothing is kept of what had nothing."""
    _edit(replica, Create("tag", TAG, {}))
    _edit(replica, Delete("tag", TAG))
    query = "SELECT state, remains FROM record"
    assert query_file(replica.store.path, query) == [(None, None)]


def test_the_visible_table_follows(replica: Replica) -> None:
    """A tag is in its table while it lives."""
    query = "SELECT uuid, color FROM tag"
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    assert query_file(replica.store.path, query) == [(TAG, "red")]
    _edit(replica, Delete("tag", TAG))
    assert query_file(replica.store.path, query) == []


def test_records_of_unknown_models_are_kept_and_counted(replica: Replica) -> None:
    """They have no table here, and are in the hash as everywhere."""
    change = SharedChange(
        Form.CREATE, "bookmark", RecordId(b"1" * 16), writes=(FieldWrite("title", None, "trip"),)
    )

    def write(conn: Any) -> None:
        records = Records(conn, replica.store.registry, 0)
        records.apply(change, _DOT, _STAMP, 0)
        records.save()

    within(replica, write)
    assert query_file(replica.store.path, "SELECT model FROM record") == [("bookmark",)]
    assert _shared_hash(replica) != hashing.EMPTY_SET


def test_nothing_is_written_before_it_is_saved(replica: Replica) -> None:
    """Merged records stay in hand; saving without any changes nothing."""
    change = SharedChange(Form.CREATE, "tag", TAG)

    def write(conn: Any) -> None:
        Records(conn, replica.store.registry, 0).apply(change, _DOT, _STAMP, 0)
        Records(conn, replica.store.registry, 0).save()

    within(replica, write)
    assert query_file(replica.store.path, "SELECT * FROM record") == []


def test_saving_again_counts_once(replica: Replica) -> None:
    """A second save of the same records leaves the hash as the first one made it."""

    def write(conn: Any) -> None:
        records = Records(conn, replica.store.registry, 0)
        records.apply(SharedChange(Form.CREATE, "tag", TAG), _DOT, _STAMP, 0)
        records.save()
        records.apply(
            SharedChange(Form.UPDATE, "tag", TAG, (_DOT,), (FieldWrite("color", None, "red"),)),
            Dot(b"f" * 44, 2),
            _STAMP,
            0,
        )
        records.save()
        records.save()

    within(replica, write)
    ((packed,),) = query_file(replica.store.path, "SELECT state FROM record")
    element = hashing.element(msgpack.packb(["tag", bytes(TAG)]) + packed)
    assert _shared_hash(replica) == hashing.add(hashing.EMPTY_SET, element)


def test_a_record_nobody_knows_is_empty(replica: Replica) -> None:
    """It is not alive, and nothing is remembered of it."""

    def read(conn: Any) -> RecordState:
        records = Records(conn, replica.store.registry, 0)
        return records.state("tag", TAG)

    alone = within(replica, lambda c: read_state(c, "tag", TAG))
    assert within(replica, read) == alone == RecordState()


def test_what_is_seen_of_one_model_settles_nothing_of_another(replicas: list[Replica]) -> None:
    """Though a record of each has the same id."""
    a, b, _ = replicas
    _edit(a, Create("tag", TAG, {"color": "white"}))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(a, Update("tag", TAG, {"color": "red"}))
    b.clock.ms += 60_000
    _edit(b, Update("tag", TAG, {"color": "blue"}))
    store_commits(a, *log_of(b, own_feed(b)))
    packed = query_file(a.store.path, "SELECT loser FROM journal")[0][0]
    _edit(a, Dismiss("album", TAG, ((("color", None), decode_ref(packed)),)))
    _edit(a, Dismiss("album", TAG, deletes=(decode_ref(packed),)))
    assert query_file(a.store.path, "SELECT model FROM journal") == [("tag",)]
