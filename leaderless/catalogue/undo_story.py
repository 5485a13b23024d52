"""What is told beside an undo: what comes next, what it passed over, and what stands in its way.

Taking back itself is `undo`'s business; nothing is written here.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from leaderless.catalogue.conflicts import DISMISS
from leaderless.catalogue.followed import Followed
from leaderless.catalogue.history import Filter, action_at, action_json, actions, find_action
from leaderless.catalogue.names import device_name
from leaderless.catalogue.pages import Pages
from leaderless.catalogue.undo import could_undo
from leaderless.catalogue.undone import UNDO, undone_actions
from leaderless.store.closing import COMMAND as REVOKE
from leaderless.store.sayings import COMMAND as RESTORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import Position
    from registry.models import Registry

_PASSED_OVER = {
    DISMISS: "nothing takes back that something was seen",
    RESTORE: "it is taken back by its id alone: this device did it, and nobody asked for it",
}
_LOOKED_AT = 1_000
"""Own actions among which an undo without an id chooses."""
_PARTS_TRIED = 1
"""Of how many parts the next one may be to be tried: more would take as long as the undo itself."""
_TRIED = 20
"""Older actions that are tried for a hint: a refusal is not to take long."""


def candidate(connection: Connection, own: bytes, reference: str | None) -> Action | None:
    """Return the action that an undo would take back now: the named one, or this device's last."""
    if reference is not None:
        return next(iter(find_action(connection, reference)), None)
    mine = _own(connection, own)
    return next((action for action in mine if action.command not in _PASSED_OVER), None)


def after(
    connection: Connection, registry: Registry, now_ms: int, own: bytes, undone: Action
) -> dict[str, Any]:
    """Return what `undo` without an id takes back next (null: nothing), and what it passes over.

    `next_stays` says that something stands on that, so `undo` would be refused; `older` is what could
    be taken back by its id then (null: none among the few that are looked at).
    """
    passed = []
    for action in _own(connection, own):
        why = _PASSED_OVER.get(action.command)
        if why is None or action.stamp_ms < undone.stamp_ms:
            break
        passed.append({"id": action.command_id.hex(), "command": action.command, "why": why})
    following = candidate(connection, own, None)
    stays = (
        following is not None
        and following.parts <= _PARTS_TRIED
        and not could_undo(connection, registry, now_ms, own, following)
    )
    older = None
    if stays and following is not None:
        older = next_possible(connection, registry, now_ms, own, following)
    stands_for = Followed(connection, Pages(connection)).stands_for
    told = partial(action_json, connection, stands_for=stands_for)
    return {
        "next": None if following is None else told(following),
        "next_stays": stays,
        "older": None if older is None else told(older),
        "passed_over": passed,
    }


def standing_on(connection: Connection, at: Position | None) -> tuple[Action, str] | None:
    """Return the action that wrote what stands in the way of an undo, and whose it is.

    None where it is not in the log, or nobody has asked for it: then there is nothing to take back.
    """
    found = None if at is None else action_at(connection, at)
    if found is None or found.command in (REVOKE, RESTORE):
        return None
    return found, device_name(connection, found.author)


def next_possible(
    connection: Connection, registry: Registry, now_ms: int, own: bytes, refused: Action
) -> Action | None:
    """Return this device's newest action before `refused` that could be taken back by its id.

    None where there is none among the few that are looked at.
    """
    older = (
        action
        for action in _own(connection, own)
        if action.command not in _PASSED_OVER and action.headers[0].stamp < refused.headers[0].stamp
    )
    return next(
        (
            action
            for action in islice(older, _TRIED)
            if could_undo(connection, registry, now_ms, own, action)
        ),
        None,
    )


def _own(connection: Connection, own: bytes) -> Iterator[Action]:
    """Yield the actions of this device that were not taken back, newest first."""
    gone = undone_actions(connection)
    for action in actions(connection, Filter(author=own, limit=_LOOKED_AT)):
        if action.command not in (UNDO, REVOKE) and action.key not in gone:
            yield action
