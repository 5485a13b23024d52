"""A volume: a file system that a device has seen.

Owner: the device that saw it; one row per (owner, fingerprint). The fingerprint names the file
system and nothing of the device, so views join rows of one fingerprint and a drive that moved is
one drive. Local-only columns: none.
"""

from __future__ import annotations

from entities import _upsert
from entities._schema import number, owned_table, raw, text
from registry.models import Field, Model, Ownership

VOLUME = owned_table(
    "volume",
    text("fingerprint"),
    text("display_name"),
    text("file_system"),
    raw("mount_point"),
    text("volume_type"),
    text("device_model"),
    number("total_bytes"),
    number("available_bytes"),
    number("is_removable"),
    number("is_network"),
)

FIELDS = (
    Field("fingerprint", nullable=False),
    Field("display_name"),
    Field("file_system"),
    Field("mount_point", (bytes,)),
    Field("volume_type"),
    Field("device_model"),
    Field("total_bytes", (int,)),
    Field("available_bytes", (int,)),
    Field("is_removable", (int,)),
    Field("is_network", (int,)),
)

ROWS = _upsert.OwnedRows(VOLUME, FIELDS, referrers=(("location", "volume"),))

MODEL = Model(
    sync_name="volume",
    version=1,
    ownership=Ownership.DEVICE,
    fields=FIELDS,
    depends_on=("device",),
    apply_state_change=ROWS.apply_state_change,
    query_state=ROWS.query_state,
    query_rows=ROWS.query_rows,
    sweep_state=ROWS.sweep_state,
    identity=("fingerprint",),
)
