"""What a history is asked of: a tag, an album, a file with all that was ever said of it, or an action.

Which actions touched these records is `history`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.catalogue.followed import Followed
from leaderless.catalogue.history import find_action
from leaderless.catalogue.pages import Pages
from leaderless.catalogue.records import find_reference
from leaderless.catalogue.said_of import is_known_of, records_of, records_of_file
from leaderless.catalogue.targets import ENTRY
from leaderless.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action

_ID_DIGITS: Final = 32


class Story(NamedTuple):
    """The records that a history is of, or the actions that were named.

    `scopes` are the records of a file, by the scope in which they say something of it.
    """

    records: frozenset[bytes] = frozenset()
    scopes: Mapping[str, frozenset[bytes]] = {}
    actions: tuple[Action, ...] = ()


def story_of(connection: Connection, own_epoch: int, reference: str) -> Story:
    """Return what a person means by `tag:NAME`, `album:NAME`, a path, or an id.

    An id may be that of a file that is gone, or of one that is not here yet, as long as something is
    said of it. Raises NotFoundError, and UsageError where several things fit.
    """
    named = tuple(find_action(connection, reference))
    try:
        found = find_reference(connection, own_epoch, reference)
    except NotFoundError:
        if named:
            return Story(actions=named)
        if (item := _item(connection, reference)) is None:
            raise
        records = records_of([item], connection)
        return Story(records, {ENTRY: records})
    if named:
        raise UsageError(
            f"“{reference}” begins or ends the id of an action and that of something else",
            hint="give more of it",
        )
    if found.file is None:
        return Story(records_of((found.record, found.item), connection))
    followed = Followed(connection, Pages(connection))
    scopes = {
        # What was said of it under another id is said of it.
        scope: records | followed.ids_before(records)
        for scope, records in records_of_file(found.file, connection).items()
    }
    return Story(frozenset().union(*scopes.values()), scopes)


def _item(connection: Connection, reference: str) -> bytes | None:
    """Return the item of which something is said that an id names, None if there is none."""
    digits = reference.lower().replace("-", "")
    if len(digits) != _ID_DIGITS or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    item = bytes.fromhex(digits)
    return item if is_known_of(item, connection) else None
