"""What is in an album: putting files in, taking them out, and their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.catalogue.ordering import place, sort_key, spread_of
from leaderless.catalogue.targets import find_target, missing_contents
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Create, Delete, Update
from registry.derived import link_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.targets import Target
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value

    FindAlbum = Callable[[Connection], tuple[bytes, str]]
    """Finds the album that is meant, and its name."""
    Fields = dict[str | tuple[str, str], Value]


class Link(NamedTuple):
    """A place in an album."""

    uuid: bytes
    item: bytes
    scope: str
    position: str | None
    caption: str | None
    added_by: bytes | None


class Added(NamedTuple):
    """How many files were meant, how many came in, and how many got another caption."""

    targets: int
    new: int
    captioned: int


def links_of(connection: Connection, album: bytes) -> list[Link]:
    """Return all places in an album, in order: the same on every device."""
    rows = connection.exec_driver_sql(
        "SELECT uuid, item, scope, position, caption, added_by FROM album_entry WHERE album = ?",
        (album,),
    )
    return sorted((Link(*row) for row in rows), key=lambda at: sort_key(at.position, at.uuid))


def files_in(connection: Connection, album: bytes) -> dict[bytes, list[int]]:
    """Return the living entries (local keys) that each place in an album stands for, if any."""
    found: dict[bytes, list[int]] = {}
    for uuid, key in connection.exec_driver_sql(
        "SELECT a.uuid, e.id FROM album_entry a JOIN entry e ON e.uuid = a.item"
        " WHERE a.album = ? AND e.dead = 0 UNION ALL"
        " SELECT a.uuid, e.id FROM album_entry a JOIN content c ON c.uuid = a.item"
        " JOIN entry e ON e.content = c.hash WHERE a.album = ? AND e.dead = 0 ORDER BY 2",
        (album, album),
    ):
        found.setdefault(uuid, []).append(key)
    return found


def files_by_album(connection: Connection) -> dict[bytes, int]:
    """Return how many places of each album stand for something that is there, without the empty."""
    found = connection.exec_driver_sql(
        "SELECT a.album, count(*) FROM album_entry a WHERE"
        " EXISTS (SELECT 1 FROM entry e WHERE e.uuid = a.item AND e.dead = 0)"
        " OR EXISTS (SELECT 1 FROM content c JOIN entry e ON e.content = c.hash"
        " WHERE c.uuid = a.item AND e.dead = 0) GROUP BY a.album"
    )
    return {album: count for album, count in found}


class _Shelf:
    """An album within a transaction: its places in order, and the edits that make it another."""

    def __init__(self, connection: Connection, album: bytes) -> None:
        self._connection = connection
        self.album = album
        self.links = links_of(connection, album)
        self._shown = set(files_in(connection, album))
        self._updates: dict[bytes, Fields] = {}

    def index_of(self, number: int | None) -> int:
        """Return where in `links` something has to go so that it is shown as the number-th."""
        if number is None:
            return len(self.links)
        if number < 1:
            raise UsageError("the first place has number 1")
        shown = [at for at, link in enumerate(self.links) if link.uuid in self._shown]
        return shown[number - 1] if number <= len(shown) else len(self.links)

    def holding(self, target: Target) -> list[Link]:
        """Return the places of a file, added by its content or as itself."""
        return [link for link in self.links if link.item in (target.item, target.entry)]

    def one(self, own_epoch: int, reference: str) -> Link:
        """Return the one place that a person means: a file, or the id of a place.

        Raises NotFoundError; UsageError where the file is there more than once.
        """
        found = self.named(own_epoch, reference)
        if len(found) > 1:
            ids = ", ".join(link.uuid.hex() for link in found)
            raise UsageError(
                f"{reference} is in the album more than once: {ids}", hint="use one of these ids"
            )
        return found[0]

    def named(self, own_epoch: int, reference: str) -> list[Link]:
        """Return all places of a file, or the one of that id; raises NotFoundError."""
        found = [link for link in self.links if link.uuid.hex() == reference.lower()]
        if not found:
            found = self.holding(find_target(self._connection, own_epoch, reference))
        if not found:
            raise NotFoundError(
                f"{reference} is not in the album",
                hint=f"leaderless album show {self.album.hex()}",
            )
        return found

    def take_out(self, link: Link) -> None:
        """Leave a place out of the order, to put it elsewhere."""
        self.links.remove(link)

    def make_room(self, index: int, count: int, spread: str) -> list[str]:
        """Return positions for `count` places in front of the index-th."""
        made, repaired = place([link.position for link in self.links], index, count, spread)
        for at, position in repaired.items():
            self.update(self.links[at].uuid, {"position": position})
        return made

    def update(self, link: bytes, fields: Mapping[str, Value]) -> None:
        """Write fields of a place, together with what else is written of it."""
        self._updates.setdefault(link, {}).update(fields)

    def updates(self) -> list[Edit]:
        """Return the edits of places that are there already."""
        return [Update("album_entry", uuid, fields) for uuid, fields in self._updates.items()]


async def add_entries(
    store: Store,
    find_album: FindAlbum,
    select: Callable[[Connection], Sequence[Target]],
    number: int | None = None,
    caption: str | None = None,
    *,
    again: bool = False,
) -> Added:
    """Put files into an album, at its end or so that the first is the number-th; one commit.

    What is there already stays where it is, or with `again` is put in once more; a caption given
    anew replaces the old. Raises NotFoundError or UsageError.
    """

    def write(transaction: Transaction) -> Added:
        album, name = find_album(transaction.conn)
        shelf = _Shelf(transaction.conn, album)
        targets = list({target.item: target for target in select(transaction.conn)}.values())
        held = {link.item: link for link in shelf.links}
        new: list[tuple[bytes, Target]] = []
        captioned = 0
        for target in targets:
            link = held.get(target.item) or held.get(target.entry)
            if link is None:
                new.append((link_id("album_entry", target.item, album), target))
            elif again:
                new.append((store.ids.new(), target))
            elif caption is not None and link.caption != caption:
                shelf.update(link.uuid, {"caption": caption})
                captioned += 1
        index = shelf.index_of(number)
        positions = shelf.make_room(index, len(new), spread_of(new[0][0])) if new else []
        edits = missing_contents(transaction.conn, [target for _, target in new])
        for (uuid, target), position in zip(new, positions, strict=True):
            fields: Fields = {
                "item": target.item,
                "scope": target.scope,
                "album": album,
                "position": position,
                "added_by": store.own_device,
            }
            if caption is not None:
                fields["caption"] = caption
            edits.append(Create("album_entry", uuid, fields))
        edits += shelf.updates()
        if edits:
            count = len(new) + captioned
            transaction.commit("album.add", edits, {"album": name, "count": count})
        return Added(len(targets), len(new), captioned)

    return await store.write(write)


async def remove_entries(store: Store, find_album: FindAlbum, references: Sequence[str]) -> int:
    """Take files out of an album, wherever they are in it, or single places by their ids.

    Returns how many places that were. Raises NotFoundError where one is not in it.
    """

    def write(transaction: Transaction) -> int:
        album, name = find_album(transaction.conn)
        shelf = _Shelf(transaction.conn, album)
        gone: dict[bytes, None] = {}
        for reference in references:
            gone.update((link.uuid, None) for link in shelf.named(store.own_epoch, reference))
        edits = [Delete("album_entry", uuid) for uuid in gone]
        transaction.commit("album.remove", edits, {"album": name, "count": len(gone)})
        return len(gone)

    return await store.write(write)


async def move_entry(
    store: Store,
    find_album: FindAlbum,
    reference: str,
    *,
    number: int | None = None,
    before: str | None = None,
    after: str | None = None,
) -> bool:
    """Move a place in an album: to a number, or right before or after another one.

    Returns whether it was not there already. Raises NotFoundError; UsageError unless exactly one
    of the three is given, and where a file is in the album more than once.
    """
    if [number, before, after].count(None) != 2:
        raise UsageError(
            "where to?", hint="give one of --to NUMBER, --before TARGET, --after TARGET"
        )

    def write(transaction: Transaction) -> bool:
        album, name = find_album(transaction.conn)
        shelf = _Shelf(transaction.conn, album)
        link = shelf.one(store.own_epoch, reference)
        other = before if before is not None else after
        beside = None if other is None else shelf.one(store.own_epoch, other)
        if beside == link:
            raise UsageError("nothing can be moved beside itself")
        was = shelf.links.index(link)
        shelf.take_out(link)
        if beside is None:
            index = shelf.index_of(number)
        else:
            index = shelf.links.index(beside) + (after is not None)
        if index == was:
            return False
        (position,) = shelf.make_room(index, 1, spread_of(link.uuid))
        shelf.update(link.uuid, {"position": position})
        transaction.commit("album.move", shelf.updates(), {"album": name})
        return True

    return await store.write(write)
