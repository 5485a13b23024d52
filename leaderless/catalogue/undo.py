"""Taking an action back: a new commit that does the opposite, whole or not at all.

Which action that is, is decided here; what does the opposite, and what stands in its way, is
`reversal`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.catalogue.action_ids import short_id
from leaderless.catalogue.conflicts import DISMISS
from leaderless.catalogue.history import Action, Filter, actions, find_action
from leaderless.catalogue.names import device_name, record_name
from leaderless.catalogue.reversal import Reversal, StandsOnError
from leaderless.catalogue.undone import FEED, UNDO, undone_actions
from leaderless.errors import NotFoundError, UsageError
from leaderless.store.closing import COMMAND as REVOKE
from leaderless.store.forgotten import ForgottenError
from leaderless.store.sayings import COMMAND as RESTORE
from registry.authoring import change_for
from registry.errors import InvalidChangeError, LockedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.models import Registry

_NOT_BY_ITSELF = frozenset([UNDO, DISMISS, REVOKE, RESTORE])
"""Actions that an undo without an id passes over: undos go on backwards, and nothing takes back that
somebody has seen something, what is known of a device that was revoked, or that what was said of a file
followed it."""


class Undone(NamedTuple):
    """What was taken back, and what is otherwise than before it was done all the same."""

    action: Action
    notes: tuple[str, ...]


async def undo(store: Store, reference: str | None) -> Undone:
    """Take back the action with that id, or this device's last one that can still be taken back.

    Returns what was undone. Raises NotFoundError, StandsOnError, ForgottenError.
    """

    def write(transaction: Transaction) -> Undone:
        connection, own = transaction.conn, transaction.own_device
        action = _chosen(connection, own, reference)
        if action.forgotten:
            raise ForgottenError(
                f"{action.command} ({short_id(connection, action.command_id)}) cannot be taken back:"
                " its content has been forgotten",
                hint="what it changed can be edited as ever; history_days in the configuration"
                " says how long content is kept",
            )
        reversal = Reversal(connection, store.registry, transaction.now_ms, own, action)
        # All of them, before the first takes effect: what stands now is asked for all the while.
        edits = list(reversal.edits())
        data = {"command_id": action.command_id, FEED: action.feed, "command": action.command}
        transaction.commit(UNDO, edits, data)
        return Undone(action, _notes(connection, reversal))

    return await store.write(write)


def _notes(connection: Connection, reversal: Reversal) -> tuple[str, ...]:
    """Return what is to be told of locks: whoever sets one holds it, also by an undo."""
    return tuple(
        f"the lock of {model} {record_name(connection, model, record)} is this device's now;"
        f" before, it was that of {device_name(connection, by)}"
        for model, record, by in reversal.taken_over
    )


def could_undo(
    connection: Connection, registry: Registry, now_ms: int, own: bytes, action: Action
) -> bool:
    """Return whether this device could take an action back as things stand now."""
    if action.forgotten:
        return False
    reversal = Reversal(connection, registry, now_ms, own, action)
    try:
        for edit in reversal.edits():
            change_for(edit, reversal.state(edit), own)
    except (StandsOnError, ForgottenError, InvalidChangeError, LockedError):
        return False
    return True


def _chosen(connection: Connection, own: bytes, reference: str | None) -> Action:
    gone = undone_actions(connection)
    if reference is not None:
        found = find_action(connection, reference)
        if len({action.command_id for action in found}) == 1:
            # Who copies the id of another's action does not keep anybody from undoing their own.
            found = [action for action in found if action.author == own] or found
        if len(found) != 1:
            what = "several actions have" if found else "no action has"
            raise NotFoundError(f"{what} the id “{reference}”", hint="leaderless history")
        if found[0].command == REVOKE:
            raise UsageError("a revoke is not taken back", hint="leaderless pair admits it anew")
        if found[0].key in gone:
            raise UsageError("that was taken back already", hint="leaderless history")
        return found[0]
    for action in actions(connection, Filter(author=own, limit=1_000)):
        if action.command not in _NOT_BY_ITSELF and action.key not in gone:
            return action
    raise NotFoundError("nothing was done on this device that could be undone")
