"""A tag on a file.

Shared link between an item (an entry, or the content of a hashed file) and a tag; its id is
derived, so the same tag put on the same file on two devices is there once. Hidden while its tag is
not there, back when the tag is restored. Local-only columns: none.
"""

from __future__ import annotations

from entities._schema import raw, real, shared_table, text
from entities._shared import SharedRows
from registry.models import Field, FieldKind, Link, Model, Ownership, WhenGone

USER_METADATA_TAG = shared_table(
    "user_metadata_tag",
    raw("item"),
    text("scope"),
    raw("tag"),
    text("context"),
    text("variant"),
    real("confidence"),
    text("source"),  # user, ai, import
    text("attributes"),  # JSON map
)

FIELDS = (
    Field("item", (bytes,), nullable=False, bookkeeping=True, about="entry"),
    Field("scope", nullable=False, bookkeeping=True),
    Field(
        "tag",
        (bytes,),
        nullable=False,
        reference="tag",
        when_gone=WhenGone.CASCADE,
        bookkeeping=True,
    ),
    Field("context"),
    Field("variant"),
    Field("confidence", (float, int), least=0, most=1),
    Field("source", bookkeeping=True),
    Field("attributes", (str, int, float, bool), FieldKind.MAP),
)

MODEL = Model(
    sync_name="user_metadata_tag",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    depends_on=("tag",),
    link=Link("item", "tag"),
    apply_shared_change=SharedRows("user_metadata_tag", FIELDS).apply_shared_change,
)
