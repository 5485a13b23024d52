"""A location: a folder that a device keeps indexed.

Owner: the device whose folder it is. Its root entry is the entry of the location without a parent
(a reference here would be a cycle). Local-only columns: scan_state (a row that arrives starts as
pending, later arrivals leave it alone), last_scan_at, error_message.
"""

from __future__ import annotations

from entities import _upsert
from entities._schema import number, owned_table, raw, text
from registry.models import Field, Model, Ownership

LOCATION = owned_table(
    "location",
    number("volume"),
    text("name"),
    raw("path"),
    text("index_mode"),
    number("total_file_count"),
    number("total_byte_size"),
    number("is_offline"),
    text("scan_state"),
    number("last_scan_at"),
    text("error_message"),
)

FIELDS = (
    Field("volume", (bytes,), nullable=False, reference="volume"),
    Field("name", nullable=False, said=True),
    Field("path", (bytes,), nullable=False),
    Field("index_mode", nullable=False, said=True),
    Field("total_file_count", (int,)),
    Field("total_byte_size", (int,)),
    # 1 while its folder is not there; else null, so that nothing is sent for those that are.
    Field("is_offline", (int,)),
)

ROWS = _upsert.OwnedRows(LOCATION, FIELDS, referrers=(("entry", "location"),))

MODEL = Model(
    sync_name="location",
    version=2,
    ownership=Ownership.DEVICE,
    fields=FIELDS,
    local_only=("scan_state", "last_scan_at", "error_message"),
    depends_on=("volume",),
    apply_state_change=ROWS.apply_state_change,
    query_state=ROWS.query_state,
    query_rows=ROWS.query_rows,
    sweep_state=ROWS.sweep_state,
    identity=("volume", "path"),
)
