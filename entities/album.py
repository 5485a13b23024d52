"""An album: files in an order that somebody chose.

Shared; fields merge one by one. What is in it are `album_entry` links. `cover` names an entry or a
content and is looked for when it is shown. Local-only columns: none.
"""

from __future__ import annotations

from entities._schema import raw, shared_table, text
from entities._shared import SharedRows
from registry.models import Field, Model, Ownership

ALBUM = shared_table(
    "album",
    text("name"),
    text("description"),
    raw("cover"),
    text("sort_order"),  # position (as arranged), name, added
    raw("created_by_device"),
)

FIELDS = (
    Field("name"),
    Field("description"),
    Field("cover", (bytes,), about="entry"),
    Field("sort_order"),
    Field("created_by_device", (bytes,), bookkeeping=True),
)

MODEL = Model(
    sync_name="album",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    apply_shared_change=SharedRows("album", FIELDS).apply_shared_change,
)
