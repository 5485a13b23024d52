"""The models of simulated devices: today's, with one that a package brings, and those of before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from entities import MODELS, entry
from entities._upsert import OwnedRows
from entities.custom import owned_model
from registry.models import Field, Registry

if TYPE_CHECKING:
    from registry.models import Model

OLD_MODELS = ("album", "album_entry", "user_metadata_tag", "tag_relation", "job")
"""What a device that is a version behind does not know."""
NEW_FIELD = "mode"
"""What such a device does not know of an entry."""
JOB = owned_model("job", 1, (Field("state"), Field("done", (int,))))
"""Rows of a device's own that some others do not know: they keep them as they come."""
JOB_COLUMNS = ("uuid", "state", "done")
ALL = (*MODELS, JOB)


def _older_entry() -> Model:
    rows = OwnedRows(
        entry.ENTRY,
        [item for item in entry.FIELDS if item.name != NEW_FIELD],
        referrers=(("entry", "parent"),),
    )
    return replace(
        entry.MODEL,
        version=0,
        fields=rows.fields,
        apply_state_change=rows.apply_state_change,
        query_state=rows.query_state,
        query_rows=rows.query_rows,
        sweep_state=rows.sweep_state,
    )


def todays() -> Registry:
    """Return what today's version knows."""
    return Registry(ALL)


def older() -> Registry:
    """Return what a version knew before."""
    known = [model for model in ALL if model.sync_name not in OLD_MODELS]
    return Registry([_older_entry() if model is entry.MODEL else model for model in known])


def is_older(registry: Registry) -> bool:
    """Return whether a device does not know all models."""
    return len(registry.versions()) < len(ALL)
