"""An entry: a file, a directory or whatever else a name in a location stands for.

Owner: the device of its location. `parent` is null for the location's root. `name` is any bytes a
file name can hold. `content` is the BLAKE3 of the whole file; `quick_hash` is a sample and never
means equality. `inode` is the 64-bit number read as signed. Local-only columns: none.
"""

from __future__ import annotations

from entities import _upsert
from entities._schema import number, owned_table, raw, text
from registry.models import Field, Model, Ownership

ENTRY = owned_table(
    "entry",
    number("location"),
    number("parent"),
    raw("name"),
    text("extension"),
    text("kind"),
    number("size_bytes"),
    number("mtime_ns"),
    number("ctime_ns"),
    number("inode"),
    number("mode"),
    number("is_hidden"),
    raw("content"),
    raw("quick_hash"),
)

FIELDS = (
    Field("location", (bytes,), nullable=False, reference="location"),
    Field("parent", (bytes,), reference="entry"),
    Field("name", (bytes,), nullable=False),
    Field("extension"),
    Field("kind", nullable=False),
    Field("size_bytes", (int,)),
    Field("mtime_ns", (int,)),
    Field("ctime_ns", (int,)),
    Field("inode", (int,)),
    Field("mode", (int,)),
    Field("is_hidden", (int,)),
    Field("content", (bytes,)),
    Field("quick_hash", (bytes,)),
)

ROWS = _upsert.OwnedRows(ENTRY, FIELDS, referrers=(("entry", "parent"),))

MODEL = Model(
    sync_name="entry",
    version=1,
    ownership=Ownership.DEVICE,
    fields=FIELDS,
    depends_on=("location",),
    apply_state_change=ROWS.apply_state_change,
    query_state=ROWS.query_state,
    query_rows=ROWS.query_rows,
    sweep_state=ROWS.sweep_state,
    identity=("parent", "location", "name", "kind"),
    body=("location", "inode", "kind", "mtime_ns", "size_bytes"),
)
