"""Which records say something of a file, a tag or an album: metadata and links, gone ones too.

Read from tables and packed registers; what was done to these records is `history`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue.targets import CONTENT, ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.catalogue.targets import Target

_MODELS: Final = ("user_metadata", "user_metadata_tag", "album_entry", "tag_relation")
_ABOUT_FILES: Final = (
    ("user_metadata", "target"),
    ("user_metadata_tag", "item"),
    ("album_entry", "item"),
)
"""The tables that say something of files, each with the column that says of which."""


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
    for table, column in _ABOUT_FILES:
        query = f"SELECT uuid FROM {table} WHERE {column} IN ({items})"
        found.update(connection.exec_driver_sql(query, (device,)).scalars())
    return frozenset(found)


def said_of_nothing(connection: Connection) -> int:
    """Return how many notes and links are about files, or contents of files, that are not here."""
    gone = (
        "NOT EXISTS (SELECT 1 FROM entry e WHERE e.uuid = {item} AND e.dead = 0) AND NOT EXISTS"
        " (SELECT 1 FROM content c JOIN entry e ON e.content = c.hash AND e.dead = 0"
        " WHERE c.uuid = {item})"
    )
    counts = [
        connection.exec_driver_sql(
            f"SELECT count(*) FROM {table} WHERE {gone.format(item=item)}"
        ).scalar_one()
        for table, item in _ABOUT_FILES
    ]
    return sum(counts)


class Lost(NamedTuple):
    """How much is said of files: of how many, and in how many notes, marks, tags and albums.

    A mark is a rating, a favorite, what is hidden, or data of one's own. Counts of one file add up.
    """

    files: int
    notes: int
    marks: int
    tags: int
    albums: int


_SAID: Final = (
    "WITH said (item, notes, marks, tags, albums) AS ("
    " SELECT target, note IS NOT NULL, (coalesce(favorite, hidden, rating) IS NOT NULL"
    " OR coalesce(custom_data, '{}') <> '{}'), 0, 0 FROM user_metadata"
    " UNION ALL SELECT item, 0, 0, 1, 0 FROM user_metadata_tag"
    " UNION ALL SELECT item, 0, 0, 0, 1 FROM album_entry)"
    " SELECT count(DISTINCT s.item), coalesce(sum(notes), 0), coalesce(sum(marks), 0),"
    " coalesce(sum(tags), 0), coalesce(sum(albums), 0) FROM said s"
)
_SAYS: Final = "notes + marks + tags + albums > 0"


def lost_without(connection: Connection, location: bytes) -> tuple[Lost, Lost]:
    """Return what is shown of a location's files that nothing else in the catalogue would show.

    First what is said of these files alone, and is gone with them; then what is said of contents that
    are in no other location, on no device: it stays, and shows again once they are indexed anew.
    """
    alone = connection.exec_driver_sql(
        f"{_SAID} JOIN entry e ON e.uuid = s.item JOIN location l ON l.id = e.location"
        f" WHERE l.uuid = ? AND e.dead = 0 AND {_SAYS}",
        (location,),
    ).one()
    within = "SELECT 1 FROM entry e WHERE e.content = c.hash AND e.dead = 0 AND e.location"
    here = "(SELECT id FROM location WHERE uuid = ?)"
    unseen = connection.exec_driver_sql(
        f"{_SAID} JOIN content c ON c.uuid = s.item WHERE {_SAYS}"
        f" AND EXISTS ({within} = {here}) AND NOT EXISTS ({within} <> {here})",
        (location, location),
    ).one()
    return Lost(*alone), Lost(*unseen)
