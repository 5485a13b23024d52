"""The model of what a person says of a file."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from entities.user_metadata import FIELDS, MODEL, metadata_id
from tests.entities.showing import shown
from tests.entities.test_upsert import uid


def test_what_is_said_is_shown_with_its_fields(connection: Connection) -> None:
    """Data of one's own is a map with a value for each key."""
    fields = {
        "scope": "entry",
        "target": uid("photo"),
        "note": "at the sea",
        "favorite": True,
        "hidden": False,
        "rating": 4,
    }
    data = {"place": "shore", "people": 3}
    row = shown(connection, MODEL, {**fields, "custom_data": data})
    assert row == {"uuid": uid("r"), **fields, "custom_data": '{"people": 3, "place": "shore"}'}


def test_two_devices_that_annotate_a_file_meet_in_one_record() -> None:
    """Of a content and of an entry there is one each."""
    ids = {metadata_id(scope, uid("x")) for scope in ("entry", "content") for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(("rating", "fits"), [(0, True), (5, True), (-1, False), (6, False)])
def test_a_rating_has_bounds(rating: int, fits: bool) -> None:
    """Whoever sends another one."""
    (field,) = (item for item in FIELDS if item.name == "rating")
    assert field.accepts(rating) is fits


def test_the_id_of_a_record_follows_from_what_it_says() -> None:
    """Whoever says it of another file writes the record of that one."""
    assert MODEL.record_id is not None
    said = {"scope": "entry", "target": b"e" * 16, "note": "x"}
    assert MODEL.record_id(said) == metadata_id("entry", b"e" * 16)
