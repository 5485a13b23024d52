"""A content: what a file holds, wherever copies of it are.

Shared; its id is derived from the full hash, so every device makes the same one. It is made when
somebody first says something of a hashed file, and joins entries by their hash. Never deleted by
itself: what was said of a content stays when its last copy goes. Local-only columns: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entities._schema import number, raw, shared_table, text
from entities._shared import SharedRows
from registry.derived import derived_id
from registry.models import Field, Model, Ownership

if TYPE_CHECKING:
    from registry.changes import RecordId

CONTENT = shared_table(
    "content",
    raw("hash"),
    number("size_bytes"),
    text("mime"),
    text("kind"),
)

FIELDS = (
    Field("hash", (bytes,), nullable=False, bookkeeping=True),
    Field("size_bytes", (int,), bookkeeping=True),
    Field("mime", bookkeeping=True),
    Field("kind", bookkeeping=True),
)


def content_id(full_hash: bytes) -> RecordId:
    """Return the id of the content with that BLAKE3 of the whole file (32 bytes)."""
    return derived_id("content", full_hash)


MODEL = Model(
    sync_name="content",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    apply_shared_change=SharedRows("content", FIELDS).apply_shared_change,
)
