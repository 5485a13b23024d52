"""User metadata: what a person says of a file.

Shared and mixed in scope: of scope `entry` it belongs to one file, of scope `content` to every copy
of the same content on any device. Its id is derived from (scope, target), so two devices that
annotate the same file offline meet in one record. What a file shows is its content's overlaid by
its own; unset differs from empty. custom_data has a register per key. Local-only columns: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entities._schema import number, raw, shared_table, text
from entities._shared import SharedRows
from registry.derived import derived_id
from registry.models import Field, FieldKind, Model, Ownership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.changes import RecordId

USER_METADATA = shared_table(
    "user_metadata",
    text("scope"),
    raw("target"),
    text("note"),
    number("favorite"),
    number("hidden"),
    number("rating"),
    text("custom_data"),  # JSON map
)

FIELDS = (
    Field("scope", nullable=False, bookkeeping=True),
    Field("target", (bytes,), nullable=False, bookkeeping=True, about="entry"),
    Field("note"),
    Field("favorite", (bool,)),
    Field("hidden", (bool,)),
    Field("rating", (int,), least=0, most=5),
    Field("custom_data", (str, int, float, bool), FieldKind.MAP),
)


def metadata_id(scope: str, target: bytes) -> RecordId:
    """Return the id of what is said of a target in a scope (`entry` or `content`)."""
    return derived_id("user_metadata", scope.encode(), target)


def _record_id(fields: Mapping[str, Any]) -> RecordId:
    return metadata_id(fields["scope"], fields["target"])


MODEL = Model(
    sync_name="user_metadata",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    apply_shared_change=SharedRows("user_metadata", FIELDS).apply_shared_change,
    record_id=_record_id,
)
