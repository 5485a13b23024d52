"""How shared records are shown in tables: one implementation for all of them.

A table agrees with the registers: a row for each record that is to be seen, none for another. Maps
and sets are JSON in a column of text, sorted, so that equal records have equal rows. Fields that
this version does not know are kept in `extra`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgpack

from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from registry.changes import SharedRow, Value
    from registry.models import Field


class SharedRows:
    """The apply function of one shared table."""

    def __init__(self, name: str, fields: Sequence[Field]) -> None:
        self.name = name
        self.fields = tuple(fields)
        columns = ("uuid", *(item.name for item in fields), "extra")
        self._upsert = (
            f"INSERT INTO {name} ({', '.join(columns)}) VALUES (?{', ?' * (len(columns) - 1)})"
            " ON CONFLICT (uuid) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        )
        self._delete = f"DELETE FROM {name} WHERE uuid = ?"

    def apply_shared_change(self, connection: Connection, rows: Sequence[SharedRow]) -> None:
        """Make the table agree with merged records: there with these fields, or not there."""
        shown = [self._values(row) for row in rows if row.fields is not None]
        gone = [(bytes(row.record),) for row in rows if row.fields is None]
        if shown:
            connection.exec_driver_sql(self._upsert, shown)
        if gone:
            connection.exec_driver_sql(self._delete, gone)

    def _values(self, row: SharedRow) -> tuple[object, ...]:
        fields = dict(row.fields or {})
        values = [_shown(item, fields.pop(item.name, None)) for item in self.fields]
        extra = msgpack.packb(fields) if fields else None
        return (bytes(row.record), *values, extra)


def _shown(item: Field, value: Value) -> object:
    if item.kind is FieldKind.PLAIN:
        return value
    entries = value if isinstance(value, dict) else {}
    if not entries:  # as in most rows
        return "[]" if item.kind is FieldKind.SET else "{}"
    if item.kind is FieldKind.SET:
        return json.dumps(sorted(key for key, there in entries.items() if there))
    return json.dumps(entries, sort_keys=True)
