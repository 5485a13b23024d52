"""Merged records, shown in the tables of their models as a test names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.changes import RecordId, SharedRow
from registry.models import Model, WhenGone, needed
from tests.entities.test_upsert import uid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from registry.changes import Value


def show(
    connection: Connection, model: Model, fields: Mapping[str, Value] | None, name: str = "r"
) -> None:
    """Make a table agree with a merged record that is to be seen (None: that is not)."""
    row = SharedRow(RecordId(uid(name)), fields)
    needed(model.apply_shared_change)(connection, [row])


def shown(connection: Connection, model: Model, fields: Mapping[str, Value]) -> dict[str, Any]:
    """Return the row that a merged record makes, without what it leaves empty."""
    show(connection, model, fields)
    query = f"SELECT * FROM {model.sync_name}"  # noqa: S608 - the models are ours
    row = connection.exec_driver_sql(query).mappings().one()
    return {name: value for name, value in row.items() if value is not None}


def cascading(model: Model) -> dict[str, str | None]:
    """Return the fields that hide a record with what they refer to, and the models of that."""
    fields = model.references()
    return {item.name: item.reference for item in fields if item.when_gone is WhenGone.CASCADE}
