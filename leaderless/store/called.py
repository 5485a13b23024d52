"""What a person calls a record by itself, and how to point at one that a change is refused for.

Read from rows and registers; nothing is written here. How records are called in lists, links by what
they link, is the catalogue's business.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.escape import printable, shell_word
from leaderless.store.registers import read_state
from registry.state import last_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from registry.changes import DeviceId, Value

_NAMES: Final = ("canonical_name", "name", "title")
_BY_NAME: Final = ("tag", "album")
"""Models whose records a person points at as MODEL:NAME."""
_ID_BYTES: Final = 16


class Called(NamedTuple):
    """A record in words, and the word of a command that names it: MODEL:NAME, a path, or its id."""

    words: str
    reference: str


def called(connection: Connection, own: DeviceId, model: str, record: bytes) -> Called:
    """Return how a record is called on the device `own`."""
    fields = last_fields(read_state(connection, model, record))
    field, name = own_name(fields)
    if name:
        # Two tags of one name stay legal; only the id tells them apart.
        alone = model in _BY_NAME and _is_alone(connection, model, field, name)
        reference = f"{model}:{name}" if alone else record.hex()
        return Called(f"{model} “{name}”", shell_word(reference))
    ends = list(_ends(connection, fields))
    words = " and ".join(f"“{end}”" for end in ends) or record.hex()
    if "target" in fields and ends:
        path = _path(connection, own, fields)
        reference = record.hex() if path is None else shell_word(os.fsdecode(path))
        return Called(f"what is said of {words}", reference)
    return Called(f"{model} {'of ' if ends else ''}{words}", record.hex())


def own_name(fields: Mapping[str, Value]) -> tuple[str, str]:
    """Return which field of a record is its name, and the name; both empty where it has none."""
    named = ((field, fields.get(field)) for field in _NAMES)
    return next(((field, name) for field, name in named if isinstance(name, str)), ("", ""))


def _is_alone(connection: Connection, model: str, field: str, name: str) -> bool:
    found = connection.exec_driver_sql(f"SELECT count(*) FROM {model} WHERE {field} = ?", (name,))
    return bool(found.scalar_one() == 1)


def _ends(connection: Connection, fields: Mapping[str, Value]) -> Iterator[str]:
    """Yield what the records and files are called that a record names."""
    for value in fields.values():
        if not isinstance(value, bytes) or len(value) != _ID_BYTES:
            continue
        if (file := file_name(connection, value)) is not None:
            yield printable(file)
            continue
        models = connection.exec_driver_sql("SELECT model FROM record WHERE uuid = ?", (value,))
        for model in models.scalars().all():
            _, name = own_name(last_fields(read_state(connection, model, value)))
            if name:
                yield name


def file_name(connection: Connection, item: bytes) -> bytes | None:
    """Return the name of an entry, or the first of those that have a content.

    The living come first; what is deleted is still known by its name while something refers to it.
    """
    name = connection.exec_driver_sql(
        "SELECT name FROM (SELECT name, dead FROM entry WHERE uuid = ?1 UNION ALL"
        " SELECT e.name, e.dead FROM content c JOIN entry e ON e.content = c.hash"
        " WHERE c.uuid = ?1) ORDER BY dead, name LIMIT 1",
        (item,),
    ).scalar()
    return None if name is None else bytes(name)


def _path(connection: Connection, own: DeviceId, fields: Mapping[str, Value]) -> bytes | None:
    """Return a path of this device that stands for a metadata record; None where none does.

    A path stands for what is said of its content where that is known, else of its entry.
    """
    entries = "e.uuid = ? AND e.content IS NULL"
    if fields.get("scope") == "content":
        entries = "e.content = (SELECT hash FROM content WHERE uuid = ?)"
    row = connection.exec_driver_sql(
        "SELECT e.id, l.path FROM entry e JOIN location l ON l.id = e.location AND l.dead = 0"
        f" JOIN incarnation i ON i.id = e.epoch WHERE {entries} AND e.dead = 0 AND i.device = ?"
        " ORDER BY e.id LIMIT 1",
        (fields.get("target"), own),
    ).first()
    if row is None:
        return None
    names = connection.exec_driver_sql(
        "WITH RECURSIVE up (name, parent, depth) AS ("
        " SELECT name, parent, 0 FROM entry WHERE id = ?"
        " UNION ALL SELECT e.name, e.parent, up.depth + 1 FROM entry e JOIN up ON e.id = up.parent)"
        " SELECT name FROM up WHERE parent IS NOT NULL ORDER BY depth DESC",
        (row[0],),
    ).scalars()
    return b"/".join([bytes(row[1]).rstrip(b"/"), *map(bytes, names)]) or b"/"
