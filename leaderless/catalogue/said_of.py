"""Which records say something of a file, a tag or an album: metadata and links, gone ones too.

Read from tables and packed registers; what was done to these records is `history`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue.targets import CONTENT, ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.catalogue.targets import Target

_MODELS: Final = ("user_metadata", "user_metadata_tag", "album_entry", "tag_relation")


def records_of(items: Iterable[bytes], connection: Connection) -> frozenset[bytes]:
    """Return `items` (files, tags, albums) with what says something of them, hidden and gone ones too.

    No table holds these: whoever took a link away is found by the item's id among the bytes of its
    packed registers.
    """
    found = set(items)
    for item in tuple(found):
        query = (
            f"SELECT uuid FROM record WHERE model IN ({', '.join('?' * len(_MODELS))})"
            " AND instr(coalesce(state, remains, x''), ?) > 0"
        )
        found.update(connection.exec_driver_sql(query, (*_MODELS, item)).scalars())
    return frozenset(found)


def records_of_file(file: Target, connection: Connection) -> dict[str, frozenset[bytes]]:
    """Return by scope what `records_of` does: of a file alone, and of the content it has now.

    What was said of it before its content was known hangs on it alone.
    """
    items = {ENTRY: file.entry}
    if file.content_hash is not None:
        items[CONTENT] = content_id(file.content_hash)
    return {
        scope: records_of([item], connection) | {metadata_id(scope, item)}
        for scope, item in items.items()
    }


def is_known_of(item: bytes, connection: Connection) -> bool:
    """Return whether something is said of an item, also of a file that is gone or not here yet."""
    return records_of([item], connection) != {item}


def records_on(connection: Connection, device: bytes) -> frozenset[bytes]:
    """Return what is said of the files of a device: their metadata and links."""
    items = (
        "SELECT e.uuid FROM entry e JOIN incarnation i ON i.id = e.epoch WHERE i.device = ?1"
        " UNION SELECT c.uuid FROM content c JOIN entry e ON e.content = c.hash"
        " JOIN incarnation i ON i.id = e.epoch WHERE i.device = ?1"
    )
    found: set[bytes] = set()
    for table, column in (
        ("user_metadata", "target"),
        ("user_metadata_tag", "item"),
        ("album_entry", "item"),
    ):
        query = f"SELECT uuid FROM {table} WHERE {column} IN ({items})"
        found.update(connection.exec_driver_sql(query, (device,)).scalars())
    return frozenset(found)


def count_said_alone(connection: Connection, location: bytes) -> int:
    """Return of how many entries in a location something is said that holds for no content."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM entry e JOIN location l ON l.id = e.location"
        " WHERE l.uuid = ? AND e.dead = 0 AND e.uuid IN (SELECT target FROM user_metadata"
        " UNION SELECT item FROM user_metadata_tag UNION SELECT item FROM album_entry)",
        (location,),
    )
    return int(found.scalar_one())
