"""A device: what it is and where it was last reached.

Owner: itself; its word is final. Presence (online, last seen) is each replica's own observation
and is never replicated. Local-only columns: none.
"""

from __future__ import annotations

from entities import _upsert
from entities._schema import number, owned_table, text
from registry.models import Field, Model, Ownership

DEVICE = owned_table(
    "device",
    text("name"),
    text("os"),
    text("os_version"),
    text("hardware_model"),
    text("form_factor"),
    text("cpu_model"),
    number("cpu_cores"),
    number("memory_total_bytes"),
    text("software_version"),
    text("addresses"),  # JSON list of HOST:PORT
)

FIELDS = (
    Field("name", nullable=False, said=True),
    Field("os"),
    Field("os_version"),
    Field("hardware_model"),
    Field("form_factor"),
    Field("cpu_model"),
    Field("cpu_cores", (int,)),
    Field("memory_total_bytes", (int,)),
    Field("software_version"),
    Field("addresses"),
)

ROWS = _upsert.OwnedRows(DEVICE, FIELDS)

MODEL = Model(
    sync_name="device",
    version=1,
    ownership=Ownership.DEVICE,
    fields=FIELDS,
    apply_state_change=ROWS.apply_state_change,
    query_state=ROWS.query_state,
    query_rows=ROWS.query_rows,
    sweep_state=ROWS.sweep_state,
)
