"""What a person calls a shared record: a tag, an album or a file, by name or id."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entities.user_metadata import metadata_id
from leaderless.catalogue.albums import find_album
from leaderless.catalogue.tags import find_tag
from leaderless.catalogue.targets import find_target

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.catalogue.targets import Target

SHARED = ("tag", "album")


class Reference(NamedTuple):
    """A record, and the thing it is or says something of (the file's item, else the record).

    `file` is what a file was named as, None where a record was.
    """

    model: str
    record: bytes
    item: bytes
    file: Target | None = None


def find_reference(connection: Connection, own_epoch: int, reference: str) -> Reference:
    """Return what `tag:NAME`, `album:NAME`, a path, or an id names.

    A file stands for what is said of it (its user_metadata). Raises NotFoundError, UsageError.
    """
    kind, colon, name = reference.partition(":")
    if colon and kind == "tag":
        tag = find_tag(connection, name)
        return Reference("tag", tag, tag)
    if colon and kind == "album":
        album = find_album(connection, name)
        return Reference("album", album, album)
    record = _by_id(connection, reference)
    if record is not None:
        return record
    target = find_target(connection, own_epoch, reference)
    return Reference("user_metadata", metadata_id(target.scope, target.item), target.item, target)


def _by_id(connection: Connection, reference: str) -> Reference | None:
    digits = reference.lower()
    if len(digits) != 32 or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    uuid = bytes.fromhex(digits)
    model = connection.exec_driver_sql(
        "SELECT model FROM record WHERE uuid = ? LIMIT 1", (uuid,)
    ).scalar()
    return None if model is None else Reference(model, uuid, uuid)
