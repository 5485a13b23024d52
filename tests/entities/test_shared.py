"""How shared records are shown in tables."""

from __future__ import annotations

import msgpack
import pytest
from sqlalchemy import Connection

from entities._shared import SharedRows
from registry.changes import RecordId, SharedRow, Value
from registry.models import Field, FieldKind
from tests.entities.test_upsert import uid

FIELDS = (
    Field("title"),
    Field("words", (bool,), FieldKind.SET),
    Field("data", (str, int), FieldKind.MAP),
)
ROWS = SharedRows("page", FIELDS)


@pytest.fixture
def pages(connection: Connection) -> Connection:
    """Make the table of a model of our own."""
    connection.exec_driver_sql(
        "CREATE TABLE page (uuid BLOB PRIMARY KEY, title TEXT, words TEXT, data TEXT, extra BLOB)"
    )
    return connection


def _apply(connection: Connection, **records: dict[str, Value] | None) -> None:
    rows = [SharedRow(RecordId(uid(name)), fields) for name, fields in records.items()]
    ROWS.apply_shared_change(connection, rows)


def _titles(connection: Connection) -> list[str | None]:
    found = connection.exec_driver_sql("SELECT title FROM page ORDER BY uuid")
    return list(found.scalars())


def test_a_record_has_a_row_while_it_is_to_be_seen(pages: Connection) -> None:
    """Others keep theirs; the same record has one row, whatever came before."""
    _apply(pages, a={"title": "one"}, b={"title": "two"})
    _apply(pages, a={"title": "first"})
    assert _titles(pages) == ["first", "two"]
    _apply(pages, a=None, c=None)
    assert _titles(pages) == ["two"]


def test_a_field_that_is_gone_is_empty(pages: Connection) -> None:
    """A row shows what the record has now, and nothing of before."""
    _apply(pages, a={"title": "one", "newer": 1})
    _apply(pages, a={})
    row = pages.exec_driver_sql("SELECT title, words, data, extra FROM page").one()
    assert tuple(row) == (None, "[]", "{}", None)


@pytest.mark.parametrize("words", [{"a": True, "b": True, "c": None}, {"b": True, "a": True}])
def test_sets_are_sorted_lists_of_what_is_in_them(
    pages: Connection, words: dict[str, bool | None]
) -> None:
    """So that equal records have equal rows."""
    _apply(pages, a={"words": dict(words)})
    assert pages.exec_driver_sql("SELECT words FROM page").scalar() == '["a", "b"]'


def test_maps_are_objects_sorted_by_key(pages: Connection) -> None:
    """Whatever was written first."""
    _apply(pages, a={"data": {"z": 1, "a": "x"}})
    assert pages.exec_driver_sql("SELECT data FROM page").scalar() == '{"a": "x", "z": 1}'


def test_what_is_no_map_is_an_empty_one(pages: Connection) -> None:
    """A hostile peer may call text a map."""
    _apply(pages, a={"data": "text", "words": 5})
    row = pages.exec_driver_sql("SELECT words, data FROM page").one()
    assert tuple(row) == ("[]", "{}")


def test_fields_of_newer_versions_are_kept_aside(pages: Connection) -> None:
    """They stand in a column of their own."""
    _apply(pages, a={"title": "one", "newer": 5, "newest": {"k": True}})
    extra = pages.exec_driver_sql("SELECT extra FROM page").scalar()
    assert msgpack.unpackb(extra) == {"newer": 5, "newest": {"k": True}}


def test_no_rows_are_no_error(pages: Connection) -> None:
    """Nothing changes."""
    _apply(pages)
    assert _titles(pages) == []
