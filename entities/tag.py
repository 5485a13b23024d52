"""A tag: a name to organise by.

Shared: anybody edits, fields merge one by one, two tags of one name stay two (union by uuid; the
namespace tells them apart) until somebody merges them: `merged_into` joins tags to components, and
all that hangs on one of them is shown at the least id of its component, whoever merged in which
direction. Aliases are a set with a register per element, attributes and composition_rules maps with
a register per key. Local-only columns: canonical.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entities._schema import number, raw, shared_table, text
from entities._shared import SharedRows
from registry.models import Field, FieldKind, Model, Ownership, WhenGone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from registry.changes import SharedRow

TAG = shared_table(
    "tag",
    text("canonical_name"),
    text("display_name"),
    text("formal_name"),
    text("abbreviation"),
    text("aliases"),  # JSON list, sorted
    text("namespace"),
    text("tag_type"),
    text("color"),
    text("icon"),
    text("description"),
    number("is_organizational_anchor"),
    text("privacy_level"),
    number("search_weight"),
    text("attributes"),  # JSON map
    text("composition_rules"),  # JSON map
    raw("created_by_device"),
    raw("merged_into"),
    raw("canonical"),  # local: what a merged tag resolves to; null: itself
)

FIELDS = (
    Field("canonical_name"),
    Field("display_name"),
    Field("formal_name"),
    Field("abbreviation"),
    Field("aliases", (bool,), FieldKind.SET),
    Field("namespace"),
    Field("tag_type"),
    Field("color"),
    Field("icon"),
    Field("description"),
    Field("is_organizational_anchor", (bool,)),
    Field("privacy_level"),
    Field("search_weight", (int,)),
    Field("attributes", (str, int, float, bool), FieldKind.MAP),
    Field("composition_rules", (str, int, float, bool), FieldKind.MAP),
    Field("created_by_device", (bytes,), bookkeeping=True),
    Field("merged_into", (bytes,), reference="tag", when_gone=WhenGone.SET_NULL),
)

ROWS = SharedRows("tag", FIELDS)


def apply_shared_change(connection: Connection, rows: Sequence[SharedRow]) -> None:
    """Make the visible tags agree with merged records, and resolve what was merged."""
    ROWS.apply_shared_change(connection, rows)
    _resolve(connection)


def _resolve(connection: Connection) -> None:
    """Find the components that merges make; the least id of each is canonical."""
    merged = connection.exec_driver_sql(
        "SELECT uuid, merged_into FROM tag WHERE merged_into IS NOT NULL"
    ).all()
    least: dict[bytes, bytes] = {}

    def find(uuid: bytes) -> bytes:
        while (above := least.get(uuid, uuid)) != uuid:
            uuid = above
        return uuid

    for one, other in merged:
        low, high = sorted((find(one), find(other)))
        least[high] = low
    resolved = {uuid: find(uuid) for uuid in least if find(uuid) != uuid}
    held = dict(
        tuple(row)
        for row in connection.exec_driver_sql(
            "SELECT uuid, canonical FROM tag WHERE canonical IS NOT NULL"
        )
    )
    changed = [
        (resolved.get(uuid), uuid)
        for uuid in held.keys() | resolved.keys()
        if held.get(uuid) != resolved.get(uuid)
    ]
    if changed:
        connection.exec_driver_sql("UPDATE tag SET canonical = ? WHERE uuid = ?", changed)


MODEL = Model(
    sync_name="tag",
    version=2,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    local_only=("canonical",),
    apply_shared_change=apply_shared_change,
)
