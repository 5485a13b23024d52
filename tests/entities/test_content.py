"""The content model."""

from __future__ import annotations

from sqlalchemy import Connection

from entities.content import MODEL, content_id
from registry.derived import derived_id
from tests.entities.showing import shown
from tests.entities.test_upsert import uid


def test_a_content_is_shown_with_its_fields(connection: Connection) -> None:
    """Its hash, by which entries find it, and what is known of it."""
    fields = {"hash": bytes(32), "size_bytes": 5, "mime": "image/png", "kind": "image"}
    assert shown(connection, MODEL, fields) == {"uuid": uid("r"), **fields}


def test_every_device_makes_the_same_record_of_a_content() -> None:
    """Its id follows from the hash alone."""
    assert content_id(b"h" * 32) == derived_id("content", b"h" * 32)
    assert content_id(b"h" * 32) != content_id(b"i" * 32)


def test_facts_about_a_content_are_no_matter_of_opinion() -> None:
    """Whoever loses one has no conflict."""
    assert all(item.bookkeeping for item in MODEL.fields)
