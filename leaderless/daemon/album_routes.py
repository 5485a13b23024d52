"""The routes about albums and what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderless.catalogue import album_entries, albums
from leaderless.daemon.filters import fields_of, files_of, texts
from leaderless.errors import UsageError
from leaderless.status.http import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver

    Handler = Callable[[Request], Awaitable[Answer]]

MAX_SHOWN = 10_000


@dataclass
class AlbumDesk:
    """Answers about albums."""

    store: Store
    driver: Driver

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/albums"): self.albums,
            ("GET", "/v1/albums/show"): self.show,
            ("POST", "/v1/albums/create"): self.create,
            ("POST", "/v1/albums/set"): self.set,
            ("POST", "/v1/albums/rename"): self.rename,
            ("POST", "/v1/albums/delete"): self.delete,
            ("POST", "/v1/albums/restore"): self.restore,
            ("POST", "/v1/albums/add"): self.add,
            ("POST", "/v1/albums/remove"): self.remove,
            ("POST", "/v1/albums/move"): self.move,
        }

    async def albums(self, request: Request) -> Answer:
        """Return every album, or those that are deleted."""
        deleted = request.text("deleted") is not None
        listed = albums.list_deleted if deleted else albums.list_albums
        return Answer({"albums": await self.store.read(listed)})

    async def show(self, request: Request) -> Answer:
        """Return one album with what is in it."""
        reference = request.needed("album")
        limit = request.within("limit", 200, 1, MAX_SHOWN)
        uuid = await self.store.read(lambda c: albums.find_album(c, reference))
        return await self._album(uuid, limit)

    async def create(self, request: Request) -> Answer:
        """Make an album."""
        name, another = request.needed("name"), request.body.get("another") is True
        made = albums.create_album(self.store, name, fields_of(request), another=another)
        return await self._album(await made)

    async def set(self, request: Request) -> Answer:
        """Change fields of an album."""
        album = request.needed("album")
        done = await albums.set_album(self.store, album, fields_of(request))
        return await self._album(done.uuid, action=done.action)

    async def rename(self, request: Request) -> Answer:
        """Give an album another name."""
        album, name = request.needed("album"), request.needed("name")
        another = request.body.get("another") is True
        done = await albums.rename_album(self.store, album, name, another=another)
        return await self._album(done.uuid, action=done.action)

    async def delete(self, request: Request) -> Answer:
        """Delete an album."""
        return Answer(
            {"id": (await albums.delete_album(self.store, request.needed("album"))).hex()}
        )

    async def restore(self, request: Request) -> Answer:
        """Bring a deleted album back."""
        album = request.needed("album")
        return await self._album(await albums.restore_album(self.store, album))

    async def _album(self, uuid: bytes, limit: int = 1, action: bytes | None = None) -> Answer:
        """Answer with an album, and with the id of the action that made it so."""
        own, online = self.store.own_device, self.driver.connected()
        shown = await self.store.read(lambda c: albums.show_album(c, uuid, own, online, limit))
        return Answer({"album": shown} | ({} if action is None else {"action": action.hex()}))

    # --- what is in it ----------------------------------------------------------------------------

    async def add(self, request: Request) -> Answer:
        """Put files into an album."""
        files, epoch = files_of(request), self.store.own_epoch
        done = await album_entries.add_entries(
            self.store,
            _finder(request),
            lambda connection: files.select(connection, epoch),
            request.number("at"),
            request.text("caption"),
            again=request.body.get("again") is True,
        )
        return Answer(
            {"files": str(done.targets), "new": str(done.new), "captioned": str(done.captioned)}
        )

    async def remove(self, request: Request) -> Answer:
        """Take files out of an album."""
        targets = texts(request, "targets")
        if not targets:
            raise UsageError("which files?", hint="leaderless album remove ALBUM TARGET")
        gone = await album_entries.remove_entries(self.store, _finder(request), targets)
        return Answer({"count": str(gone)})

    async def move(self, request: Request) -> Answer:
        """Move something within an album."""
        moved = await album_entries.move_entry(
            self.store,
            _finder(request),
            request.needed("target"),
            number=request.number("to"),
            before=request.text("before"),
            after=request.text("after"),
        )
        reference = request.needed("album")
        uuid = await self.store.read(lambda c: albums.find_album(c, reference))
        sort_order = (await self._album(uuid)).data["album"]["sort_order"]
        return Answer({"moved": moved, "sort_order": sort_order})


def _finder(request: Request) -> album_entries.FindAlbum:
    reference = request.needed("album")

    def find(connection: Connection) -> tuple[bytes, str]:
        album = albums.find_album(connection, reference)
        return album, albums.album_name(connection, album)

    return find
