"""The model of a tag on a file."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from entities import tag
from entities.user_metadata_tag import FIELDS, MODEL
from registry.models import Link
from tests.entities.showing import cascading, show, shown
from tests.entities.test_upsert import uid


def test_a_tag_on_a_file_is_shown_with_its_fields(connection: Connection) -> None:
    """Which file, which tag, in what context, and how sure whoever said so was."""
    show(connection, tag.MODEL, {}, "trip")
    fields = {
        "item": uid("photo"),
        "scope": "content",
        "tag": uid("trip"),
        "context": "at the sea",
        "variant": "trips",
        "confidence": 0.5,
        "source": "ai",
    }
    row = shown(connection, MODEL, {**fields, "attributes": {"k": 1}})
    assert row == {"uuid": uid("r"), **fields, "attributes": '{"k": 1}'}


def test_a_file_carries_a_tag_once() -> None:
    """Whoever puts it there again makes the same record."""
    assert MODEL.link == Link("item", "tag")


def test_a_tag_on_a_file_goes_and_comes_with_the_tag() -> None:
    """The file itself may be unknown here."""
    assert cascading(MODEL) == {"tag": "tag"}


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1.0, True), (1.5, False), (-0.1, False)])
def test_how_sure_one_is_has_bounds(value: float, fits: bool) -> None:
    """From not at all to wholly."""
    (field,) = (item for item in FIELDS if item.name == "confidence")
    assert field.accepts(value) is fits
