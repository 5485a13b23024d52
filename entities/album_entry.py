"""An album entry: a file's place in an album.

Shared link between an item (an entry, or the content of a hashed file, so that the same photo on
two devices is one) and an album. The first has a derived id: added on two devices it is there once.
Repeatable: an album may hold a file again, on purpose, under an id of its own. Positions are
fractional indices: whoever moves one writes that one alone. Hidden while its album is not there.
Local-only columns: none.
"""

from __future__ import annotations

from entities._schema import raw, shared_table, text
from entities._shared import SharedRows
from registry.models import Field, Link, Model, Ownership, WhenGone

ALBUM_ENTRY = shared_table(
    "album_entry",
    raw("item"),
    text("scope"),
    raw("album"),
    text("position"),
    raw("added_by"),
    text("caption"),
)

FIELDS = (
    Field("item", (bytes,), nullable=False, bookkeeping=True, about="entry"),
    Field("scope", nullable=False, bookkeeping=True),
    Field(
        "album",
        (bytes,),
        nullable=False,
        reference="album",
        when_gone=WhenGone.CASCADE,
        bookkeeping=True,
    ),
    Field("position"),
    Field("added_by", (bytes,), bookkeeping=True),
    Field("caption"),
)

MODEL = Model(
    sync_name="album_entry",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    depends_on=("album",),
    link=Link("item", "album", repeatable=True),
    apply_shared_change=SharedRows("album_entry", FIELDS).apply_shared_change,
)
