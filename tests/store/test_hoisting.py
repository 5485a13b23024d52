"""What others knew first, shown after an upgrade: fields and models that a version gains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from entities.custom import owned_model, shared_model
from leaderless.store.verification import verify
from registry.changes import Create, Update
from registry.models import Field
from tests.replicas import ENTRY_COLUMNS, Replica, add_tree, query_file
from tests.store.passing import batches, held, log_of, own_feed, pull, store_commits, take, within
from tests.store.upgrades import MOOD, later, moody_tag, upgraded, with_fields

JOB = owned_model("job", 1, (Field("state"), Field("above", (bytes,), reference="job")))
NOTE = shared_model("note", 1, (Field("text"),))
ONE, OTHER, THIRD, TAG = (bytes([at]) * 16 for at in (1, 2, 3, 4))
JOBS = "SELECT j.uuid, j.state, a.uuid FROM job j LEFT JOIN job a ON a.id = j.above ORDER BY 1"
OPAQUE = "SELECT uuid FROM opaque_row ORDER BY uuid"
EXTRAS = "SELECT count(*) FROM entry WHERE extra IS NOT NULL"


def _put_entry(owner: Replica, name: bytes, **fields: Any) -> None:
    """Write an entry that has fields which this version does not know."""
    ends = "SELECT l.uuid, e.uuid FROM location l, entry e WHERE e.parent IS NULL"
    location, root = within(owner, lambda c: c.exec_driver_sql(ends).one())
    row = (owner.store.ids.new(), location, root, name, None, "file", *[None] * 8)
    columns = [*ENTRY_COLUMNS, *fields]
    owner.store.write_here(lambda tx: tx.put("entry", columns, [(*row, *fields.values())]))


def _facts(replica: Replica, owner: Replica) -> tuple[object, ...]:
    """Return what proves a copy equal."""
    copy = held(replica, owner)
    return copy.watermark, copy.row_count, copy.set_hash, copy.verified


def _faults(replica: Replica) -> list[str]:
    found = within(replica, lambda c: verify(c, replica.store.registry))
    return [count.fault for count in found if count.fault is not None]


def _seen(replica: Replica, query: str) -> list[tuple[Any, ...]]:
    return query_file(replica.store.path, query)


@pytest.fixture
def keeper(replicas: list[Replica]) -> tuple[Replica, Replica]:
    """Return an owner, and a device that keeps fields and rows which it does not know."""
    owner, behind, _ = replicas
    add_tree(owner, 3)
    _put_entry(owner, b"bright", mood="sunny", weight=7)
    _put_entry(owner, b"dark", mood="grey")
    pull(owner, behind, owner)
    return owner, behind


def test_fields_of_owned_rows_are_shown_once_they_have_a_column(
    keeper: tuple[Replica, Replica],
) -> None:
    """They leave `extra`, what is still unknown stays there, and the copy is as proved as before."""
    owner, behind = keeper
    before = _facts(behind, owner)
    step = "ALTER TABLE entry ADD COLUMN mood TEXT"
    with upgraded(behind, later(with_fields(MOOD)), step) as shows:
        found = _seen(shows, "SELECT name, mood FROM entry WHERE mood IS NOT NULL ORDER BY rev")
        assert found == [(b"bright", "sunny"), (b"dark", "grey")]
        assert _seen(shows, EXTRAS) == [(1,)]
        assert _facts(shows, owner) == before
        assert _faults(shows) == []


def test_an_upgraded_relay_serves_the_same_rows(
    keeper: tuple[Replica, Replica], replicas: list[Replica]
) -> None:
    """One that knows the field hands it on to one that does not: equal counts and hashes."""
    owner, behind = keeper
    step = "ALTER TABLE entry ADD COLUMN mood TEXT"
    with upgraded(behind, later(with_fields(MOOD)), step) as relay:
        pull(relay, replicas[2], owner)
        assert _facts(replicas[2], owner)[:3] == _facts(relay, owner)[:3]
        assert _seen(replicas[2], EXTRAS) == [(2,)]


def test_the_owner_itself_shows_what_it_had_kept(keeper: tuple[Replica, Replica]) -> None:
    """A device that went back a version and came again has its own fields as they were."""
    owner, _ = keeper
    step = "ALTER TABLE entry ADD COLUMN mood TEXT"
    before = _facts(owner, owner)
    with upgraded(owner, later(with_fields(MOOD)), step) as shows:
        assert _seen(shows, "SELECT count(*) FROM entry WHERE mood IS NOT NULL") == [(2,)]
        assert _facts(shows, owner) == before


@pytest.mark.parametrize(
    ("field", "column"),
    [
        (Field("mood", (int,)), "mood INTEGER"),
        (Field("mood"), "mood TEXT CHECK (mood <> 'sunny')"),
        (Field("mood", (str, bytes)), "mood BLOB"),
        (Field("weight", (int, float)), "weight REAL"),
    ],
)
def test_what_does_not_fit_its_column_is_kept_beside_it(
    keeper: tuple[Replica, Replica], replicas: list[Replica], field: Field, column: str
) -> None:
    """The library opens, the row counts and travels with its value as before."""
    owner, behind = keeper
    before = _facts(behind, owner)
    registry = later(with_fields(field))
    with upgraded(behind, registry, f"ALTER TABLE entry ADD COLUMN {column}") as keeps:
        assert _facts(keeps, owner) == before
        assert _faults(keeps) == []
        for batch in batches(keeps, owner):
            take(replicas[2], batch)
        assert _facts(replicas[2], owner)[:3] == before[:3]


def test_a_field_that_refers_names_a_row_of_its_owner(keeper: tuple[Replica, Replica]) -> None:
    """The uuid in `extra` becomes that row's local key; one that is not here stays as it came."""
    owner, behind = keeper
    files = "SELECT uuid FROM entry WHERE parent IS NOT NULL ORDER BY rev LIMIT 1"
    target = within(owner, lambda c: c.exec_driver_sql(files).scalar_one())
    _put_entry(owner, b"copy", original=target)
    _put_entry(owner, b"stray", original=b"?" * 16)
    take(behind, next(batches(owner, owner, held(behind, owner).watermark)))
    before = _facts(behind, owner)
    original = Field("original", (bytes,), reference="entry")
    step = "ALTER TABLE entry ADD COLUMN original INTEGER REFERENCES entry (id)"
    with upgraded(behind, later(with_fields(original)), step) as shows:
        query = "SELECT e.name, o.uuid FROM entry e JOIN entry o ON o.id = e.original"
        assert _seen(shows, query) == [(b"copy", target)]
        assert _facts(shows, owner) == before
        assert _faults(shows) == []


def test_fields_of_shared_records_are_shown_once_they_have_a_column(
    replicas: list[Replica],
) -> None:
    """They come from the registers, which had kept them; the set hash of all is as it was."""
    behind, knowing, _ = replicas
    tag = moody_tag()
    step = "ALTER TABLE tag ADD COLUMN mood TEXT"
    with upgraded(knowing, later(tag), step) as knows:
        knows.store.write_here(lambda tx: tx.commit("tag", [Create("tag", TAG, {"mood": "calm"})]))
        knows.store.write_here(lambda tx: tx.commit("tag", [Update("tag", TAG, {"icon": "sun"})]))
        store_commits(behind, *log_of(knows, own_feed(knows)))
    with upgraded(behind, later(tag), step) as shows:
        assert _seen(shows, "SELECT mood, icon, extra FROM tag") == [("calm", "sun", None)]
        assert _faults(shows) == []


def test_models_that_a_version_gains_show_what_was_kept_of_them(replicas: list[Replica]) -> None:
    """Shared ones from the registers, owned ones from opaque rows, deleted rows stay deleted."""
    owner, behind, _ = replicas
    with upgraded(owner, later(JOB, NOTE), *JOB.schema, *NOTE.schema) as knows:
        jobs = [(ONE, "new", None), (OTHER, "done", ONE), (THIRD, "old", None)]
        knows.store.write_here(lambda tx: tx.put("job", ["uuid", "state", "above"], jobs))
        knows.store.write_here(lambda tx: tx.drop("job", [THIRD]))
        knows.store.write_here(lambda tx: tx.commit("n", [Create("note", ONE, {"text": "a"})]))
        pull(knows, behind, knows)
        store_commits(behind, *log_of(knows, own_feed(knows)))
    before = _facts(behind, owner)
    with upgraded(behind, later(JOB, NOTE), *JOB.schema, *NOTE.schema) as shows:
        assert _seen(shows, JOBS) == [(ONE, "new", None), (OTHER, "done", ONE)]
        assert _seen(shows, "SELECT uuid, text FROM note") == [(ONE, "a")]
        assert _seen(shows, OPAQUE) == []
        assert _facts(shows, owner) == before
        assert _faults(shows) == []


def test_rows_that_do_not_fit_a_new_model_stay_opaque_with_what_refers_to_them(
    replicas: list[Replica],
) -> None:
    """The library opens and shows the others; what waits is looked at again at the next start."""
    owner, behind, _ = replicas
    with upgraded(owner, later(JOB), *JOB.schema) as knows:
        jobs = [(ONE, "new", None), (OTHER, "done", ONE), (THIRD, "kept", None)]
        knows.store.write_here(lambda tx: tx.put("job", ["uuid", "state", "above"], jobs))
        pull(knows, behind, knows)
    before = _facts(behind, owner)
    number = replace(JOB, fields=(Field("state", (int,)), *JOB.fields[1:]))
    strict = [
        text.replace("state TEXT", "state TEXT CHECK (state <> 'new')") for text in JOB.schema
    ]
    for model, schema in ((number, JOB.schema), (JOB, strict)):
        with upgraded(behind, later(model), *schema) as keeps:
            assert _seen(keeps, JOBS) == []
            assert _seen(keeps, OPAQUE) == [(ONE,), (OTHER,), (THIRD,)]
            assert _facts(keeps, owner) == before
            within(keeps, lambda c: c.exec_driver_sql("DROP TABLE job"))
    with upgraded(behind, later(JOB), *JOB.schema) as shows:
        assert len(_seen(shows, JOBS)) == 3
        assert _facts(shows, owner) == before


def test_a_restart_looks_at_no_row_again(keeper: tuple[Replica, Replica]) -> None:
    """Once the fields are where they belong, opening stays cheap."""
    behind = keeper[1]
    registry = later(with_fields(MOOD))
    with upgraded(behind, registry, "ALTER TABLE entry ADD COLUMN mood TEXT") as shows:
        within(shows, lambda c: c.exec_driver_sql("UPDATE entry SET extra = x'81a46d6f6f64a178'"))
        with upgraded(shows, registry) as again:
            assert _seen(again, "SELECT count(*) FROM entry WHERE mood = 'x'") == [(0,)]
