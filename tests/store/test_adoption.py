"""Models that come, change and go, with what is held of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from entities import MODELS
from entities.custom import owned_model, shared_model
from leaderless.ids import RecordIds
from leaderless.store import engine, meta
from leaderless.store.adoption import TABLES
from leaderless.store.rebuild import rebuild
from leaderless.store.store import Store
from registry.changes import Create, Delete, SharedRow, Update
from registry.models import Field, FieldKind, Link, Model, Registry, WhenGone
from tests.replicas import Replica, query_file
from tests.store.passing import held, log_of, own_feed, pull, store_commits, within

NOTE = shared_model("note", 1, (Field("text", nullable=False), Field("of", (bytes,))))
NOTE_2 = shared_model("note", 2, (*NOTE.fields, Field("color")))
END = Field("note", (bytes,), reference="note", when_gone=WhenGone.CASCADE)
PINNED = shared_model("pin", 1, (END, Field("tag", (bytes,))), Link("note", "tag"))
JOB = owned_model(
    "job",
    1,
    (Field("state"), Field("above", (bytes,), reference="job"), Field("cost", (int, float))),
)
ONE, OTHER, THIRD, TAG = (bytes([at]) * 16 for at in (1, 2, 3, 4))
JOBS = (
    "SELECT j.uuid, j.state, a.uuid, j.cost FROM job j LEFT JOIN job a ON a.id = j.above ORDER BY 1"
)
OPAQUE = "SELECT uuid FROM opaque_row ORDER BY uuid"


@contextlib.contextmanager
def opened(replica: Replica, *models: Model) -> Iterator[Replica]:
    """Open a replica's library again, with models of packages."""
    ids, registry = RecordIds(replica.clock), Registry([*MODELS, *models])
    store = Store(replica.store.path, registry, replica.clock, ids, replica.identity.sign)
    store.load()
    try:
        yield replace(replica, store=store)
    finally:
        store.close()


def _commit(replica: Replica, *edits: Any) -> None:
    replica.clock.ms += 1
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def _jobs(replica: Replica, *rows: Sequence[object]) -> None:
    replica.store.write_here(lambda tx: tx.put("job", ["uuid", "state", "above", "cost"], rows))


def _facts(replica: Replica, owner: Replica) -> tuple[object, ...]:
    """Return what proves a copy equal."""
    copy = held(replica, owner)
    return copy.watermark, copy.row_count, copy.set_hash


def _rows(replica: Replica, query: str) -> list[tuple[Any, ...]]:
    return query_file(replica.store.path, query)


def test_no_model_can_have_the_name_of_a_table_of_the_store(replica: Replica) -> None:
    """The names that are taken are those of the schema."""
    made = {
        name for (name,) in _rows(replica, "SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    models = {model.sync_name for model in MODELS}
    assert {name for name in made if not name.startswith("sqlite_")} - models == TABLES


# --- shared models --------------------------------------------------------------------------------


def test_records_from_before_the_model_are_shown(replicas: list[Replica]) -> None:
    """What came while nobody here knew the model stands in its table once it is known."""
    knowing, lacking, _ = replicas
    with opened(knowing, NOTE, PINNED) as knows:
        fields = {"note": ONE, "tag": TAG}
        _commit(knows, Create("note", ONE, {"text": "a"}), Create("pin", OTHER, fields))
        store_commits(lacking, *log_of(knows, own_feed(knows)))
    with opened(lacking, NOTE, PINNED) as learns:
        assert _rows(learns, "SELECT uuid, text FROM note") == [(ONE, "a")]
        assert _rows(learns, "SELECT note, tag FROM pin") == [(ONE, TAG)]
        _commit(learns, Delete("note", ONE))
        assert _rows(learns, "SELECT note FROM pin") == []


def test_what_happened_while_a_model_was_away_is_shown_when_it_is_back(
    replicas: list[Replica],
) -> None:
    """Uninstalled, its table goes; installed again at the same version, it is made anew."""
    a, b, _ = replicas
    with opened(b, NOTE) as other:
        with opened(a, NOTE) as knows:
            _commit(knows, Create("note", ONE, {"text": "a"}), Create("note", OTHER, {"text": "b"}))
            store_commits(other, *log_of(knows, own_feed(knows)))
        _commit(other, Delete("note", ONE))
        _commit(other, Update("note", OTHER, {"text": "c"}))
        with opened(a) as lacks:
            assert _rows(lacks, "SELECT name FROM sqlite_master WHERE name = 'note'") == []
            store_commits(lacks, *log_of(other, own_feed(other)))
    with opened(a, NOTE) as knows:
        assert _rows(knows, "SELECT uuid, text FROM note") == [(OTHER, "c")]


def test_commits_apply_while_the_model_of_a_link_is_away(replicas: list[Replica]) -> None:
    """Nothing that a package left behind holds up a delete of what it refers to."""
    a, b, _ = replicas
    tagged = shared_model(
        "tagged",
        1,
        (replace(END, name="tag", reference="tag", nullable=False),),
    )
    strict = replace(
        tagged,
        schema=(tagged.schema[0].replace("tag BLOB", "tag BLOB NOT NULL REFERENCES tag (uuid)"),),
    )
    with opened(a, strict) as knows:
        _commit(knows, Create("tag", TAG, {}), Create("tagged", ONE, {"tag": TAG}))
        store_commits(b, *log_of(knows, own_feed(knows)))
        assert _rows(knows, "SELECT tag FROM tagged") == [(TAG,)]
    _commit(b, Delete("tag", TAG))
    with opened(a) as lacks:
        store_commits(lacks, *log_of(b, own_feed(b)))
        assert _rows(lacks, "SELECT * FROM tag") == []
        assert within(lacks, lambda c: rebuild(c, lacks.store.registry, 0)).differences == ()


def test_a_new_version_gets_a_new_table_with_all_there_is(replicas: list[Replica]) -> None:
    """Fields that only the newer version knows were kept, and are shown after the upgrade."""
    newer, older, _ = replicas
    with opened(newer, NOTE_2) as knows:
        _commit(knows, Create("note", ONE, {"text": "a", "color": "red"}))
        with opened(older, NOTE) as behind:
            store_commits(behind, *log_of(knows, own_feed(knows)))
            assert _rows(behind, "SELECT text FROM note") == [("a",)]
    with opened(older, NOTE_2) as upgraded:
        assert _rows(upgraded, "SELECT text, color FROM note") == [("a", "red")]


def test_a_restart_does_not_make_tables_anew(replica: Replica) -> None:
    """What is unchanged is left as it is: opening stays cheap."""
    with opened(replica, NOTE) as knows:
        _commit(knows, Create("note", ONE, {"text": "a"}))
        within(knows, lambda c: c.exec_driver_sql("UPDATE note SET text = 'marked'"))
    with opened(replica, NOTE) as knows:
        assert _rows(knows, "SELECT text FROM note") == [("marked",)]


def test_a_model_that_fails_here_is_left_out_with_what_needs_it(replica: Replica) -> None:
    """The library opens, the reason is kept for the status, and nothing half-made stays."""

    def fails(connection: object, rows: Sequence[SharedRow]) -> None:
        if rows:
            raise RuntimeError("no")

    with opened(replica, NOTE) as knows:
        _commit(knows, Create("note", ONE, {"text": "a"}))
    broken = replace(NOTE_2, apply_shared_change=fails)
    with opened(replica, broken, PINNED) as opens:
        assert opens.store.failed == {
            "note": "applying note failed: no",
            "pin": "pin stands before note, which it needs",
        }
        assert _rows(opens, "SELECT name FROM sqlite_master WHERE name IN ('note', 'pin')") == []
        _commit(opens, Create("tag", TAG, {}))
    with opened(replica, NOTE_2, PINNED) as mended:
        assert mended.store.failed == {}
        assert _rows(mended, "SELECT text FROM note") == [("a",)]


def test_values_that_a_model_does_not_take_stop_nothing(replicas: list[Replica]) -> None:
    """Another version wrote another type there: it is kept in the registers, not shown."""
    other = shared_model("note", 1, (Field("text", (int,)), Field("of", (str,), FieldKind.SET)))
    a, b, _ = replicas
    with opened(a, other) as writes:
        _commit(writes, Create("note", ONE, {"text": 5}))
        store_commits(b, *log_of(writes, own_feed(writes)))
    with opened(b, NOTE) as reads:
        assert reads.store.failed == {}
        assert _rows(reads, "SELECT * FROM note") == []
        _commit(reads, Update("note", ONE, {"text": "five"}))
        assert _rows(reads, "SELECT text FROM note") == [("five",)]


# --- owned models ---------------------------------------------------------------------------------


def test_rows_from_before_the_model_leave_for_its_table(replicas: list[Replica]) -> None:
    """Count and set hash stay as they are; later rows and tombstones are applied as ever."""
    owner, relay, last = replicas
    with opened(owner, JOB) as knows:
        _jobs(knows, (ONE, "new", None, 5), (OTHER, "done", ONE, 2.5), (THIRD, None, None, None))
        pull(knows, relay, knows)
        before = _facts(relay, owner)
        assert _rows(relay, OPAQUE) == [(ONE,), (OTHER,), (THIRD,)]
        with opened(relay, JOB) as learns:
            assert _rows(learns, OPAQUE) == []
            assert _rows(learns, JOBS) == _rows(knows, JOBS)
            assert _facts(learns, owner) == before == _facts(knows, owner)
            _jobs(knows, (ONE, "old", None, 6))
            knows.store.write_here(lambda tx: tx.drop("job", [OTHER]))
            pull(knows, learns, knows)
            assert _rows(learns, JOBS) == [(ONE, "old", None, 6), (THIRD, None, None, None)]
            assert _facts(learns, owner) == _facts(knows, owner)
            pull(learns, last, knows)
    assert _facts(last, owner) == _facts(relay, owner)
    assert _rows(last, OPAQUE) == [(ONE,), (THIRD,)]


def test_rows_of_a_model_that_goes_are_opaque_again(replica: Replica) -> None:
    """The own device's rows, too: what it has signed for stays what it hands on."""
    with opened(replica, JOB) as knows:
        _jobs(knows, (ONE, "new", None, 5), (OTHER, "done", ONE, None))
        before = _facts(knows, knows)
        shown = _rows(knows, JOBS)
    with opened(replica) as lacks:
        assert _rows(lacks, OPAQUE) == [(ONE,), (OTHER,)]
        assert _facts(lacks, lacks) == before
    with opened(replica, JOB) as knows:
        assert (_rows(knows, JOBS), _rows(knows, OPAQUE)) == (shown, [])
        assert _facts(knows, knows) == before


def test_a_peer_without_the_model_serves_one_that_has_it(replicas: list[Replica]) -> None:
    """Backfill past a device that does not know the model: the same rows, proved equal."""
    owner, relay, last = replicas
    with opened(owner, JOB) as knows, opened(last, JOB) as reads:
        _jobs(knows, (ONE, "new", None, 5), (OTHER, "done", ONE, None))
        pull(knows, relay, knows)
        pull(relay, reads, knows)
        assert _rows(reads, JOBS) == _rows(knows, JOBS)
        assert _facts(reads, owner) == _facts(knows, owner)


def test_a_row_that_names_what_is_not_here_waits_as_it_is(replicas: list[Replica]) -> None:
    """It stays opaque, counts as before, and is replaced when its owner's word on it comes."""
    owner, relay, _ = replicas
    with opened(owner, JOB) as knows:
        _jobs(knows, (ONE, "a", None, 1), (OTHER, "b", ONE, 2), (THIRD, "c", OTHER, 3))
        pull(knows, relay, knows)
        # As a relay that never saw the row which others name would have it.
        within(relay, lambda c: c.exec_driver_sql("DELETE FROM opaque_row WHERE uuid = ?", (ONE,)))
        with opened(relay, JOB) as learns:
            assert _rows(learns, OPAQUE) == [(OTHER,), (THIRD,)]
            assert _rows(learns, JOBS) == []
            count = held(learns, owner).row_count
            _jobs(knows, (ONE, "x", None, 1), (OTHER, "y", ONE, 2))
            knows.store.write_here(lambda tx: tx.drop("job", [THIRD]))
            pull(knows, learns, knows)
            assert _rows(learns, JOBS) == _rows(knows, JOBS)
            assert _rows(learns, OPAQUE) == []
            # The row that was taken away by hand came back: it was counted all along.
            assert held(learns, owner).row_count == count


@pytest.mark.parametrize("field", [Field("cost", (float,)), Field("cost", (str,))])
def test_a_model_that_would_change_rows_is_left_out(replicas: list[Replica], field: Field) -> None:
    """A row that would not come out of the table as it went in stays opaque, and proved."""
    owner, relay, _ = replicas
    with opened(owner, JOB) as knows:
        _jobs(knows, (ONE, "a", None, 1))
        pull(knows, relay, knows)
    before = _facts(relay, owner)
    with opened(relay, owned_model("job", 1, (Field("state"), field))) as opens:
        assert list(opens.store.failed) == ["job"]
        assert _facts(opens, owner) == before
        assert _rows(opens, OPAQUE) == [(ONE,)]


def test_the_schema_of_a_library_with_models_is_whole(replica: Replica) -> None:
    """Foreign keys and pages are as they should be with models, and after they went."""
    for models in ((NOTE, PINNED, JOB), (NOTE_2, PINNED), ()):
        with opened(replica, *models) as opens:
            within(opens, lambda c: engine.check(c, replica.store.path))
            assert within(opens, lambda c: meta.get(c, meta.INSTALLED)) is not None
