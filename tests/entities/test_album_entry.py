"""The model of a file's place in an album."""

from __future__ import annotations

from sqlalchemy import Connection

from entities import album
from entities.album_entry import MODEL
from registry.models import Link
from tests.entities.showing import cascading, show, shown
from tests.entities.test_upsert import uid

FIELDS = {
    "item": uid("photo"),
    "scope": "content",
    "album": uid("album"),
    "position": "a0",
    "added_by": uid("device"),
    "caption": "at the sea",
}


def test_a_place_is_shown_with_its_fields(connection: Connection) -> None:
    """What is there, in which album, where, who put it there, and what is said of it."""
    show(connection, album.MODEL, {}, "album")
    assert shown(connection, MODEL, FIELDS) == {"uuid": uid("r"), **FIELDS}


def test_an_album_may_hold_a_file_twice(connection: Connection) -> None:
    """On purpose, under another id."""
    show(connection, album.MODEL, {}, "album")
    for name in ("a", "b"):
        show(connection, MODEL, FIELDS, name)
    assert connection.exec_driver_sql("SELECT count(*) FROM album_entry").scalar() == 2
    assert MODEL.link == Link("item", "album", repeatable=True)


def test_a_place_goes_and_comes_with_its_album() -> None:
    """The file itself may be unknown here."""
    assert cascading(MODEL) == {"album": "album"}
