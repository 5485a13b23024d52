"""The tag model: what is visible of merged records."""

from __future__ import annotations

import msgpack
from sqlalchemy import Connection

from entities.tag import MODEL, apply_shared_change
from registry.changes import RecordId, SharedRow
from tests.entities.test_upsert import connection, uid

__all__ = ["connection"]


def test_a_merged_tag_is_shown_with_its_fields(connection: Connection) -> None:
    """Plain fields stand as they are, sets sorted, maps as JSON, unknown ones are kept."""
    fields = {
        "canonical_name": "trip",
        "aliases": {"b": True, "a": True, "c": None},
        "attributes": {"k": 1},
        "newer": 5,
    }
    apply_shared_change(connection, [SharedRow(RecordId(uid("t")), fields)])
    row = connection.exec_driver_sql("SELECT * FROM tag").mappings().one()
    assert (row["canonical_name"], row["aliases"], row["attributes"]) == (
        "trip",
        '["a", "b"]',
        '{"k": 1}',
    )
    assert msgpack.unpackb(row["extra"]) == {"newer": 5}
    assert row["composition_rules"] == "{}"


def test_two_tags_of_one_name_stay_two(connection: Connection) -> None:
    """Names are no identity."""
    rows = [SharedRow(RecordId(uid(name)), {"canonical_name": "trip"}) for name in ("s", "t")]
    apply_shared_change(connection, rows)
    assert connection.exec_driver_sql("SELECT count(*) FROM tag").scalar() == 2


def test_a_dead_tag_is_not_shown(connection: Connection) -> None:
    """A record without fields goes from the table; one that was never there is no error."""
    apply_shared_change(connection, [SharedRow(RecordId(uid("t")), {})])
    apply_shared_change(connection, [SharedRow(RecordId(uid("t")), None)])
    assert connection.exec_driver_sql("SELECT count(*) FROM tag").scalar() == 0
    assert MODEL.apply_shared_change is apply_shared_change
