"""Models made of their fields alone."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from entities.custom import owned_model, shared_model
from registry.changes import RecordId, SharedRow, StateChange
from registry.errors import ModelError
from registry.models import Field, FieldKind, Link, Ownership, WhenGone, needed
from registry.rows import Epochs
from tests.entities.test_upsert import LIFE, OWNER, uid

ALL = (
    Field("text"),
    Field("hash", (bytes,)),
    Field("size", (int,)),
    Field("done", (bool,)),
    Field("share", (float,)),
    Field("mixed", (int, float)),
    Field("tags", (bool,), FieldKind.SET),
    Field("data", (str, int), FieldKind.MAP),
)


def test_a_column_holds_what_its_field_takes() -> None:
    """Text, bytes, numbers; maps and sets are JSON; what may be of two kinds is either."""
    (statement,) = shared_model("thing", 1, ALL).schema
    with sqlite3.connect(":memory:") as connection:
        connection.execute(statement)
        columns = dict(connection.execute("SELECT name, type FROM pragma_table_info('thing')"))
    connection.close()
    assert columns == {
        "uuid": "BLOB",
        "text": "TEXT",
        "hash": "BLOB",
        "size": "INTEGER",
        "done": "INTEGER",
        "share": "REAL",
        "mixed": "ANY",
        "tags": "TEXT",
        "data": "TEXT",
        "extra": "BLOB",
    }


def test_a_record_is_shown_in_its_table() -> None:
    """Its fields stand in their columns."""
    model = shared_model("thing", 1, ALL)
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql(model.schema[0])
        fields = {"text": "a", "tags": {"b": True, "a": True, "c": None}, "data": {"k": 1}}
        row = SharedRow(RecordId(bytes(16)), fields)
        needed(model.apply_shared_change)(connection, [row])
        found = connection.exec_driver_sql("SELECT text, tags, data, size FROM thing").one()
    engine.dispose()
    assert tuple(found) == ("a", '["a", "b"]', '{"k": 1}', None)


def test_what_a_model_refers_to_stands_before_it() -> None:
    """Each model once; itself is no dependency."""
    fields = (
        Field("tag", (bytes,), nullable=False, reference="tag", when_gone=WhenGone.CASCADE),
        Field("other", (bytes,), reference="tag"),
        Field("above", (bytes,), reference="thing"),
        Field("item", (bytes,)),
    )
    model = shared_model("thing", 1, fields, Link("item", "tag"))
    assert model.depends_on == ("tag",)


@pytest.mark.parametrize(
    "field",
    [
        Field("done", (bool,)),
        Field("data", kind=FieldKind.MAP),
        Field("location", (bytes,), reference="location"),
    ],
)
def test_an_owned_field_is_plain_and_refers_to_nothing_else(field: Field) -> None:
    """What could not come out as it went in, or hold up a delete, is refused."""
    with pytest.raises(ModelError, match=field.name):
        owned_model("job", 1, (field,))


def test_a_map_holds_no_bytes() -> None:
    """They could not be shown as JSON."""
    with pytest.raises(ModelError, match="data"):
        shared_model("thing", 1, (Field("data", (bytes,), FieldKind.MAP),))


@pytest.mark.parametrize("make", [shared_model, owned_model])
@pytest.mark.parametrize("types", [(list,), (str, dict), (object,), ()])
def test_a_register_holds_one_plain_value(make: Any, types: tuple[type, ...]) -> None:
    """A list would be overwritten whole: the message names what merges instead."""
    with pytest.raises(ModelError, match=r"thing\.data cannot hold .* FieldKind\.SET"):
        make("thing", 1, (Field("data", types),))


OWNED = (
    Field("title"),
    Field("size", (int,)),
    Field("above", (bytes,), reference="job"),
)


def test_rows_of_an_owned_model_come_out_as_they_went_in(connection: Connection) -> None:
    """With the reference to another row of its own, from the table that its fields make."""
    model = owned_model("job", 3, OWNED)
    assert (model.ownership, model.version, model.depends_on) == (Ownership.DEVICE, 3, ())
    for statement in model.schema:
        connection.exec_driver_sql(statement)
    rows = [(uid("top"), 1, "all", 5, None), (uid("part"), 2, "some", 2, uid("top"))]
    change = StateChange("job", OWNER, LIFE, ("title", "size", "above"), rows)
    needed(model.apply_state_change)(connection, Epochs(1, frozenset([1])), change)
    found = needed(model.query_state)(connection, 1, 0, 9, 10)
    assert (found.columns, list(map(tuple, found.rows))) == (change.columns, rows)


def test_an_owned_table_finds_rows_by_rev_and_by_what_they_refer_to(
    connection: Connection,
) -> None:
    """Without reading all of it; to make it once more is no error."""
    model = owned_model("job", 1, OWNED)
    for statement in (*model.schema, *model.schema):
        connection.exec_driver_sql(statement)
    found = connection.exec_driver_sql("SELECT name FROM pragma_index_list('job') ORDER BY name")
    assert {"job_by_above", "job_by_rev"} <= set(found.scalars())
