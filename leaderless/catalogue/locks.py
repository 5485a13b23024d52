"""Locks as people see them: who holds one, and what there is to lock.

How a lock wins against edits that had not seen it is the registry's business (registry/merge.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.catalogue.names import device_name, record_name
from leaderless.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.catalogue.records import Reference


def lock_json(connection: Connection, model: str, records: Iterable[bytes]) -> dict[str, Any]:
    """Return by whom one of these records is locked, for JSON: null where none is."""
    for record in records:
        query = "SELECT locked_by FROM record WHERE model = ? AND uuid = ?"
        by = connection.exec_driver_sql(query, (model, record)).scalar()
        if by is not None:
            return {"locked_by": device_name(connection, by), "locked_by_id": by.hex()}
    return {"locked_by": None, "locked_by_id": None}


def check_guard(connection: Connection, found: Reference, said: str, *, lock: bool) -> None:
    """Raise where a record cannot be locked (or unlocked); `said` is what a person called it.

    NotFoundError where there is nothing to lock, UsageError where it is so already.
    """
    row = connection.exec_driver_sql(
        "SELECT locked_by FROM record WHERE model = ? AND uuid = ? AND state IS NOT NULL",
        (found.model, found.record),
    ).first()
    if row is None and found.model == "user_metadata":
        raise NotFoundError(
            f"nothing is said of {said} yet: it has no note, rating or mark that could be"
            f" {'locked' if lock else 'unlocked'}",
            hint="leaderless note TARGET TEXT says something; leaderless lock tag:NAME, or"
            " leaderless lock album:NAME, freezes a tag or an album itself",
        )
    if row is None:
        raise NotFoundError(f"{said} is deleted", hint="leaderless history shows by whom")
    by = row[0]
    name = record_name(connection, found.model, found.record)
    called = said if found.model == "user_metadata" else f"“{name}”"
    if lock and by is not None:
        raise UsageError(
            f"{called} is locked already, by {device_name(connection, by)}",
            hint=f"leaderless unlock {found.record.hex()}",
        )
    if not lock and by is None:
        raise UsageError(f"{called} is not locked")
