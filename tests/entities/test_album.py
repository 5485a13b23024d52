"""The album model."""

from __future__ import annotations

from sqlalchemy import Connection

from entities.album import MODEL
from tests.entities.showing import show, shown
from tests.entities.test_upsert import uid


def test_an_album_is_shown_with_its_fields(connection: Connection) -> None:
    """Name, description, cover, order, and who made it."""
    fields = {
        "name": "best",
        "description": "at the sea",
        "cover": uid("photo"),
        "sort_order": "name",
        "created_by_device": uid("device"),
    }
    assert shown(connection, MODEL, fields) == {"uuid": uid("r"), **fields}


def test_two_albums_of_one_name_are_two(connection: Connection) -> None:
    """Names are no identity."""
    for name in ("a", "b"):
        show(connection, MODEL, {"name": "best"}, name)
    assert connection.exec_driver_sql("SELECT count(*) FROM album").scalar() == 2


def test_an_album_needs_nothing_else_to_be_seen() -> None:
    """A cover that is gone hides no album."""
    assert MODEL.references() == ()
