"""Libraries opened with the models of a version that is still to come."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from entities import MODELS, entry
from entities._shared import SharedRows
from entities._upsert import OwnedRows
from leaderless.ids import RecordIds
from leaderless.store.store import Store
from registry.models import Field, Model, Registry
from tests.replicas import Replica
from tests.store.passing import within

MOOD = Field("mood")


def with_fields(*fields: Field) -> Model:
    """Return the built-in model of entries with more fields, as a later version has it."""
    rows = OwnedRows(entry.ENTRY, (*entry.FIELDS, *fields), referrers=(("entry", "parent"),))
    return replace(
        entry.MODEL,
        version=entry.MODEL.version + 1,
        fields=rows.fields,
        apply_state_change=rows.apply_state_change,
        query_state=rows.query_state,
        query_rows=rows.query_rows,
        sweep_state=rows.sweep_state,
    )


def moody_tag() -> Model:
    """Return the built-in model of tags with a field more."""
    model = next(model for model in MODELS if model.sync_name == "tag")
    fields = (*model.fields, MOOD)
    shown = SharedRows("tag", fields).apply_shared_change
    return replace(model, version=model.version + 1, fields=fields, apply_shared_change=shown)


def later(*models: Model) -> Registry:
    """Return the models of a later version: `models` in place of those of their names, or new."""
    named = {model.sync_name: replace(model, schema=()) for model in models}
    return Registry([*(named.pop(model.sync_name, model) for model in MODELS), *named.values()])


@contextlib.contextmanager
def upgraded(replica: Replica, registry: Registry, *steps: str) -> Iterator[Replica]:
    """Open a replica's library with the models of a later version, after its schema's steps."""
    for step in steps:
        within(replica, lambda c, step=step: c.exec_driver_sql(step))  # type: ignore[misc]
    replica.store.close()
    ids = RecordIds(replica.clock)
    store = Store(replica.store.path, registry, replica.clock, ids, replica.identity.sign)
    store.load()
    try:
        yield replace(replica, store=store)
    finally:
        store.close()
