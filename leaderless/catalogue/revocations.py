"""Revokes in the history: each member closes the feeds of whoever was revoked, one line tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.catalogue.names import device_name
from leaderless.store.closing import COMMAND
from leaderless.store.revocations import without_membership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import Value


class Revocations:
    """Tells which closing commits say nothing that another line does not say."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._shown: set[tuple[Value, Value]] = set()

    def repeats(self, action: Action) -> bool:
        """Return whether an action is a member's part in a revoke that another line tells of.

        That is the line of whoever revoked the device; if there is none, the first that is asked for.
        """
        subject, statement = action.data.get("closes"), action.data.get("statement")
        if action.command != COMMAND or not isinstance(subject, bytes):
            return False
        if (subject, statement) in self._shown or self._is_told(action, statement):
            return True
        self._shown.add((subject, statement))
        return False

    def _is_told(self, action: Action, statement: Value) -> bool:
        """Return whether the device that revoked another has a line of its own about it."""
        by = action.data.get("by")
        if not isinstance(by, bytes) or not isinstance(statement, bytes) or by == action.author:
            return False
        found = self._connection.exec_driver_sql(
            "SELECT 1 FROM commit_log c JOIN feed f ON f.id = c.feed WHERE substr(f.feed, 1, 16) = ?"
            " AND c.command = ? AND instr(c.header, ?) > 0 AND c.seq <= f.applied LIMIT 1",
            (by, COMMAND, statement),
        )
        return found.first() is not None


def revoked_json(connection: Connection, data: Mapping[str, Value]) -> dict[str, Any]:
    """Return whom a closing commit is about, and who revoked it, by the names people know.

    No commit tells of an admission, so it is said here whether that device is a member again by now.
    """
    gone = without_membership(connection)
    said: dict[str, Any] = {"member_again": data.get("closes") not in gone}
    for name, device in (("device", data.get("closes")), ("by", data.get("by"))):
        if isinstance(device, bytes):
            said |= {name: device_name(connection, device), f"{name}_id": device.hex()}
    return said
