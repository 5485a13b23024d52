"""The tag model: what is visible of merged records."""

from __future__ import annotations

import msgpack
from sqlalchemy import Connection

from entities.tag import MODEL, apply_shared_change
from registry.changes import RecordId, SharedRow
from tests.entities.test_upsert import uid


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


def _merged(connection: Connection, **into: str | None) -> dict[str, str]:
    """Show tags merged into others (None: into none); return what each is shown as, if another."""
    rows = [
        SharedRow(RecordId(uid(name)), {} if other is None else {"merged_into": uid(other)})
        for name, other in into.items()
    ]
    apply_shared_change(connection, rows)
    found = connection.exec_driver_sql(
        "SELECT uuid, canonical FROM tag WHERE canonical IS NOT NULL"
    )
    return {uuid.rstrip(b".").decode(): at.rstrip(b".").decode() for uuid, at in found}


def test_merged_tags_are_shown_as_the_least_of_them(connection: Connection) -> None:
    """Whoever was merged into whom, in chains and in circles."""
    assert _merged(connection, a=None, b="c", c="a", d=None) == {"b": "a", "c": "a"}
    assert _merged(connection, a="b", d="c") == {"b": "a", "c": "a", "d": "a"}


def test_a_merge_that_is_taken_back_leaves_two_tags(connection: Connection) -> None:
    """What was joined through it is apart again."""
    _merged(connection, a=None, b="a", c="b")
    assert _merged(connection, b=None) == {"c": "b"}
    assert _merged(connection, c=None) == {}
