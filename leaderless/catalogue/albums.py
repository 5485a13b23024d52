"""Albums: naming, listing and editing them. What is in them is `album_entries`' business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.catalogue import references
from leaderless.catalogue.album_entries import files_by_album, files_in, links_of
from leaderless.catalogue.locks import lock_json
from leaderless.catalogue.names import device_name
from leaderless.catalogue.places import entries_json
from leaderless.catalogue.targets import find_target, missing_contents
from leaderless.catalogue.values import check_name
from leaderless.errors import UsageError
from leaderless.protocol.records import decode_state
from registry.changes import Create, Delete, Restore, Update
from registry.state import first_order

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.album_entries import Link
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value

POSITION, NAME, ADDED = "position", "name", "added"
SORT_ORDERS = (POSITION, NAME, ADDED)
"""How an album is shown: as arranged by hand, by the names of its files, by when they came in."""
_MAKER = "created_by_device"
_FIELDS = ("description", "cover", "sort_order")


def find_album(connection: Connection, reference: str) -> bytes:
    """Return the id of an album by its name or either end of its id.

    Raises NotFoundError, or UsageError that tells apart those that fit.
    """
    about = {
        uuid: (name, description)
        for uuid, name, description in connection.exec_driver_sql(
            "SELECT uuid, name, description FROM album"
        )
    }
    found = references.read_as(
        reference, lambda said: [uuid for uuid, (name, _) in about.items() if name == said]
    )
    fit = found or references.fitting(reference, about)
    hint = "leaderless album list, or leaderless album create NAME"
    if not fit:
        gone = references.deleted(connection, "album").values()
        hint = references.where_gone("album", reference, gone, hint)
    return references.the_one(
        "album", reference, fit, about, lambda uuid: about[uuid][1] or "", hint
    )


def album_name(connection: Connection, album: bytes) -> str:
    """Return what an album is called."""
    name = connection.exec_driver_sql("SELECT name FROM album WHERE uuid = ?", (album,)).scalar()
    return str(name) if name else album.hex()


# --- showing --------------------------------------------------------------------------------------


def list_albums(connection: Connection) -> list[dict[str, Any]]:
    """Return every album by name, with how much of what is in it is known on some device."""
    rows = connection.exec_driver_sql("SELECT * FROM album ORDER BY name, uuid").mappings().all()
    files = files_by_album(connection)
    return [
        {**_about(connection, dict(row)), "files": str(files.get(row["uuid"], 0))} for row in rows
    ]


def list_deleted(connection: Connection) -> list[dict[str, Any]]:
    """Return the deleted albums with the values they had, by name."""
    found = references.deleted(connection, "album")
    unset: dict[str, Any] = dict.fromkeys(("name", "description", "sort_order", _MAKER))
    listed = [_about(connection, {**unset, **held, "uuid": uuid}) for uuid, held in found.items()]
    return sorted(listed, key=lambda album: (str(album["name"] or ""), album["id"]))


def _about(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    maker = row[_MAKER]
    return {
        "id": row["uuid"].hex(),
        "name": row["name"],
        "description": row["description"],
        "sort_order": row["sort_order"] or POSITION,
        "created_by": None if maker is None else device_name(connection, maker),
        **lock_json(connection, "album", [row["uuid"]]),
    }


def show_album(
    connection: Connection, album: bytes, own: bytes, online: Collection[bytes], limit: int
) -> dict[str, Any]:
    """Return an album with what is in it, each with its copies; at most `limit` of them.

    `number` is the place as arranged, whatever the album is sorted by. What no device has a copy
    of is left out and counted as `hidden`.
    """
    row = (
        connection.exec_driver_sql("SELECT * FROM album WHERE uuid = ?", (album,)).mappings().one()
    )
    links, files = links_of(connection, album), files_in(connection, album)
    shown = [link for link in links if link.uuid in files]
    numbers = {link.uuid: number for number, link in enumerate(shown, start=1)}
    ordered = _sorted(connection, shown, files, row["sort_order"])
    keys = [key for link in ordered[:limit] for key in files[link.uuid]]
    copies = {entry["id"]: entry for entry in entries_json(connection, keys, own, online)}
    ids = _ids(connection, album)
    return {
        **_about(connection, dict(row)),
        "files": str(len(shown)),
        "hidden": str(len(links) - len(shown)),
        "more": len(shown) > limit,
        "cover": _cover(connection, row["cover"], own, online),
        "entries": [
            {
                "number": numbers[link.uuid],
                "id": link.uuid.hex(),
                "scope": link.scope,
                "caption": link.caption,
                "added_by": None
                if link.added_by is None
                else device_name(connection, link.added_by),
                "copies": [copies[at] for key in files[link.uuid] if (at := ids[key]) in copies],
            }
            for link in ordered[:limit]
        ],
    }


def _ids(connection: Connection, album: bytes) -> dict[int, str]:
    """Return the ids of the entries in an album by local key."""
    keys = [key for found in files_in(connection, album).values() for key in found]
    marks = connection.exec_driver_sql(
        "SELECT id, uuid FROM entry WHERE id IN (SELECT value FROM json_each(?))", (str(keys),)
    )
    return {key: uuid.hex() for key, uuid in marks}


def _sorted(
    connection: Connection,
    links: Sequence[Link],
    files: Mapping[bytes, Sequence[int]],
    sort_order: str | None,
) -> list[Link]:
    if sort_order == NAME:
        keys = [files[link.uuid][0] for link in links]
        found = connection.exec_driver_sql(
            "SELECT id, name FROM entry WHERE id IN (SELECT value FROM json_each(?))", (str(keys),)
        )
        names = {key: name.lower() for key, name in found}
        return sorted(links, key=lambda link: (names[files[link.uuid][0]], link.uuid))
    if sort_order == ADDED:
        return sorted(links, key=lambda link: (_added(connection, link.uuid), link.uuid))
    return list(links)


def _added(connection: Connection, link: bytes) -> bytes:
    """Return the stamp of the first write in effect of a link."""
    packed = connection.exec_driver_sql(
        "SELECT state FROM record WHERE model = 'album_entry' AND uuid = ?", (link,)
    ).scalar()
    first = first_order(decode_state(packed))
    return b"" if first is None else first.stamp.pack()


def _cover(
    connection: Connection, item: bytes | None, own: bytes, online: Collection[bytes]
) -> dict[str, Any] | None:
    """Return a copy of the file that an album's cover names, one within reach if there is one."""
    if item is None:
        return None
    keys = connection.exec_driver_sql(
        "SELECT id FROM entry WHERE uuid = ? AND dead = 0 UNION ALL SELECT e.id FROM content c"
        " JOIN entry e ON e.content = c.hash WHERE c.uuid = ? AND e.dead = 0",
        (item, item),
    ).scalars()
    copies = entries_json(connection, list(keys), own, online)
    return next((entry for entry in copies if entry["reachable"]), copies[0] if copies else None)


# --- editing --------------------------------------------------------------------------------------


async def create_album(
    store: Store, name: str, given: Mapping[str, object], *, another: bool = False
) -> bytes:
    """Make an album; returns its id.

    Raises NameTakenError where there is one of that name, unless `another` is meant.
    """
    check_name("an album", name)
    uuid = store.ids.new()

    def write(transaction: Transaction) -> None:
        if not another:
            references.refuse_namesake("album", name, _namesake(transaction.conn, name))
        fields, contents = _parsed(transaction.conn, store.own_epoch, given)
        made: dict[str | tuple[str, str], Value] = {"name": name, **fields}
        made[_MAKER] = store.own_device
        edits = [*contents, Create("album", uuid, made)]
        transaction.commit("album.create", edits, {"album": name})

    await store.write(write)
    return uuid


def _namesake(connection: Connection, name: str, besides: bytes = b"") -> bytes | None:
    """Return the album of a name, the oldest of several; `besides` is one that may have it."""
    query = "SELECT uuid FROM album WHERE name = ? AND uuid <> ? ORDER BY uuid LIMIT 1"
    found: bytes | None = connection.exec_driver_sql(query, (name, besides)).scalar()
    return found


async def set_album(store: Store, reference: str, given: Mapping[str, object]) -> references.Edited:
    """Change the description, cover or sort order of an album; returns its id and the action's."""
    if not given:
        raise UsageError("nothing to set", hint="leaderless album set ALBUM description=TEXT")

    def write(transaction: Transaction) -> references.Edited:
        uuid = find_album(transaction.conn, reference)
        fields, contents = _parsed(transaction.conn, store.own_epoch, given)
        data = {"album": album_name(transaction.conn, uuid), "fields": ", ".join(given)}
        action = transaction.commit("album.set", [*contents, Update("album", uuid, fields)], data)
        return references.Edited(uuid, action)

    return await store.write(write)


def _parsed(
    connection: Connection, own_epoch: int, given: Mapping[str, object]
) -> tuple[dict[str | tuple[str, str], Value], list[Edit]]:
    """Return what to write for fields that a person gave (empty: none), and missing contents."""
    fields: dict[str | tuple[str, str], Value] = {}
    contents: list[Edit] = []
    for name, value in given.items():
        if name not in _FIELDS:
            hint = f"fields: {', '.join(_FIELDS)}; leaderless album rename gives it another name"
            raise UsageError(f"an album has no field “{name}”", hint=hint)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} is given as text")
        if name == "sort_order" and value and value not in SORT_ORDERS:
            orders = ", ".join(SORT_ORDERS)
            raise UsageError(f"there is no sort order “{value}”", hint=f"sort orders: {orders}")
        fields[name] = value or None
        if name == "cover" and value:
            target = find_target(connection, own_epoch, value)
            fields[name] = target.item
            contents = missing_contents(connection, [target])
    return fields, contents


async def rename_album(
    store: Store, reference: str, name: str, *, another: bool = False
) -> references.Edited:
    """Give an album another name; returns its id and the action's.

    Raises NameTakenError where there is one of that name, unless `another` is meant.
    """
    check_name("an album", name)

    def write(transaction: Transaction) -> references.Edited:
        uuid = find_album(transaction.conn, reference)
        if not another:
            taken = _namesake(transaction.conn, name, besides=uuid)
            references.refuse_namesake("album", name, taken, references.RENAMING)
        data = {"album": album_name(transaction.conn, uuid), "to": name}
        action = transaction.commit("album.rename", [Update("album", uuid, {"name": name})], data)
        return references.Edited(uuid, action)

    return await store.write(write)


async def delete_album(store: Store, reference: str) -> bytes:
    """Delete an album, what is in it stays where it is; returns the id to restore it by."""

    def write(transaction: Transaction) -> bytes:
        uuid = find_album(transaction.conn, reference)
        data = {"album": album_name(transaction.conn, uuid)}
        transaction.commit("album.delete", [Delete("album", uuid)], data)
        return uuid

    return await store.write(write)


async def restore_album(store: Store, reference: str) -> bytes:
    """Bring a deleted album back with all that was in it; returns its id."""

    def write(transaction: Transaction) -> bytes:
        deleted = references.deleted(transaction.conn, "album")
        named = references.read_as(
            reference,
            lambda said: [uuid for uuid, held in deleted.items() if held.get("name") == said],
        )
        uuid = references.the_one(
            "deleted album",
            reference,
            named or references.fitting(reference, deleted),
            deleted,
            lambda uuid: str(deleted[uuid].get("description") or ""),
            "leaderless album list --deleted",
        )
        data = {"album": deleted[uuid].get("name") or reference}
        transaction.commit("album.restore", [Restore("album", uuid)], data)
        return uuid

    return await store.write(write)
