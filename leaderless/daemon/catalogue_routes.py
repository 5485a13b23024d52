"""The routes about what is catalogued: devices, drives, locations, entries, and all of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import trio

from leaderless.catalogue import find, listing
from leaderless.catalogue.conflicts import ids_for_completion
from leaderless.catalogue.export import export_lines
from leaderless.catalogue.said_of import lost_without
from leaderless.catalogue.text import name_bytes, name_json
from leaderless.daemon.filters import find_query
from leaderless.daemon.held_up import held_up_json, not_held_up
from leaderless.daemon.member_routes import revoked_json, revoked_views
from leaderless.errors import NotPermittedError, UsageError
from leaderless.protocol.retention import LEASE_MS
from leaderless.status.http import Answer
from leaderless.store import restoring
from leaderless.store.forgetting import away_since

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.find import Query
    from leaderless.daemon.held_up import Waits
    from leaderless.daemon.presence import Presence
    from leaderless.indexer.rows import Location
    from leaderless.indexer.service import Indexer
    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver

    Handler = Callable[[Request], Awaitable[Answer]]

_SHARES: Final = 2
"""Of a search through all names, if it is the only one: SQLite works beside itself. One reader stays
free for others."""


@dataclass
class CatalogueDesk:
    """The rooms that answer about the catalogue."""

    store: Store
    driver: Driver
    indexer: Indexer
    presence: Presence
    others: Callable[[], Collection[bytes]] = tuple
    """All members but this device."""
    lease_ms: int = LEASE_MS
    waits: Waits = not_held_up
    """What this device waits for while it takes its rows back."""
    _searches: int = 0
    """How many run."""

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/devices"): self.devices,
            ("POST", "/v1/devices/rename"): self.device_rename,
            ("POST", "/v1/devices/claim"): self.device_claim,
            ("GET", "/v1/volumes"): self.volumes,
            ("GET", "/v1/locations"): self.locations,
            ("POST", "/v1/locations"): self.location_add,
            ("POST", "/v1/locations/scan"): self.location_scan,
            ("POST", "/v1/locations/mode"): self.location_mode,
            ("POST", "/v1/locations/pause"): self.location_pause,
            ("POST", "/v1/locations/resume"): self.location_resume,
            ("GET", "/v1/locations/remove"): self.location_losses,
            ("POST", "/v1/locations/remove"): self.location_remove,
            ("GET", "/v1/find"): self.find,
            ("GET", "/v1/export"): self.export,
            ("GET", "/v1/complete"): self.complete,
        }

    # --- devices ----------------------------------------------------------------------------------

    async def devices(self, _: Request) -> Answer:
        """Return every device."""
        own, online = self.store.own_device, self.driver.connected()
        away, now_ms = set(self.others()) - online.keys(), self.store.now_ms()
        found, lapsed = await self.store.read(
            lambda c: (
                listing.list_devices(c, own, online),
                away_since(c, away, (), now_ms, self.lease_ms),
            )
        )
        for device in found:
            # What is written of sightings is some seconds late; who is connected is seen now.
            uuid = bytes.fromhex(device["id"])
            seen_ms = self.presence.of(uuid).seen_ms
            device["lapsed"] = uuid in lapsed
            if uuid in online:
                seen_ms = self.store.now_ms()
            if seen_ms is not None:
                device["last_seen_ms"] = str(seen_ms)
        names = {bytes.fromhex(device["id"]): device["name"] for device in found}
        gone = revoked_json(revoked_views(self.driver.applier.members, names))
        for device in found:
            device["revoked"] = gone.get(device["id"])
        return Answer({"devices": found})

    async def device_rename(self, request: Request) -> Answer:
        """Give this device another name."""
        reference, name = request.text("device"), request.needed("name")
        if reference is not None:
            found = await self.store.read(lambda c: listing.find_device(c, reference))
            if found != self.store.own_device:
                raise NotPermittedError(
                    "a device's name is its own word", hint=f"run this on {reference}"
                )
        own = self.store.own_device
        await listing.rename_device(self.store, name)
        await self.driver.introduce()
        others = await self.store.read(lambda c: listing.namesakes(c, own))
        shown = [uuid.hex() for uuid in others]
        return Answer({"device_id": own.hex(), "name": name, "namesakes": shown})

    async def device_claim(self, _: Request) -> Answer:
        """Go on as this device, in a new incarnation; a clone takes back what the other told first."""
        nonce = secrets.token_bytes(8)
        begun = await self.store.write(lambda tx: restoring.claim(tx, nonce))
        await self.indexer.request_all()
        return Answer({"generation": None if begun is None else begun.incarnation.generation})

    # --- what is indexed --------------------------------------------------------------------------

    async def volumes(self, _: Request) -> Answer:
        """Return every drive."""
        own, online = self.store.own_device, self.driver.connected()
        return Answer(
            {"volumes": await self.store.read(lambda c: listing.list_volumes(c, own, online))}
        )

    async def locations(self, _: Request) -> Answer:
        """Return the locations of all devices."""
        own = self.store.own_device
        found = await self.store.read(lambda c: listing.list_locations(c, own))
        for location in found:
            uuid = bytes.fromhex(location["id"])
            location["passes"] = self.indexer.ended[uuid]
            if location["this_device"]:
                location.update(self._paused(uuid))
            progress = self.indexer.progress.get(uuid)
            if progress is not None:
                location["entries_seen"] = str(progress.entries_seen)
                location["files_hashed"] = str(progress.files_hashed)
                location["errors"] = [
                    {"path": name_json(item.path), "why": item.message}
                    for item in progress.errors.items[:100]
                ]
                location["error_count"] = str(progress.errors.count)
        return Answer({"locations": found})

    async def location_add(self, request: Request) -> Answer:
        """Make a folder a location."""
        path = name_bytes(request.body.get("path"))
        if path is None:
            raise UsageError("path is missing, or neither text nor {b64}")
        mode = request.text("index_mode")
        uuid, number = await self.indexer.add(path, request.text("name"), mode)
        return Answer({"id": uuid.hex(), "pass": number})

    async def location_mode(self, request: Request) -> Answer:
        """Index a location in another mode from now on."""
        uuid = await self._own_location(request)
        number = await self.indexer.set_mode(uuid, request.needed("index_mode"))
        return Answer({"id": uuid.hex(), "pass": number})

    async def location_scan(self, request: Request) -> Answer:
        """Scan a location now."""
        uuid = await self._own_location(request)
        # What a scan finds could not be written, and nobody would hear of it.
        await self.store.read(restoring.check_may_write)
        accept_deletes = request.body.get("accept_deletes") is True
        number = self.indexer.request(uuid, accept_deletes=accept_deletes)
        return Answer({"id": uuid.hex(), "pass": number})

    async def location_pause(self, request: Request) -> Answer:
        """Read no contents for now: of a location, or of all that this device has."""
        return self._hashing(await self.indexer.pause(await self._maybe_location(request)))

    async def location_resume(self, request: Request) -> Answer:
        """Go on with reading contents."""
        return self._hashing(await self.indexer.resume(await self._maybe_location(request)))

    def _hashing(self, meant: Sequence[tuple[Location, bool]]) -> Answer:
        """Return what locations are hashed, and of which that is news."""
        shown = [
            {
                "id": location.uuid.hex(),
                "name": location.name,
                "index_mode": location.index_mode,
                "changed": is_news,
                **self._paused(location.uuid),
            }
            for location, is_news in meant
        ]
        return Answer({"locations": shown})

    def _paused(self, uuid: bytes) -> dict[str, Any]:
        """Return whether contents of a location are not read for now, and how much of that is left."""
        left = self.indexer.pauses.left(uuid)
        return {
            "paused": self.indexer.pauses.has(uuid),
            "unhashed_files": None if left is None else str(left.files),
            "unhashed_bytes": None if left is None else str(left.size_bytes),
        }

    async def location_losses(self, request: Request) -> Answer:
        """Return what a location would take along, or why it cannot be removed; nothing is done."""
        uuid = await self._own_location(request)
        await self.store.read(restoring.check_may_write)
        return Answer(await self._losses(uuid))

    async def location_remove(self, request: Request) -> Answer:
        """Take a location out of the catalogue."""
        uuid = await self._own_location(request)
        losses = await self._losses(uuid)
        await self.indexer.remove(uuid)
        return Answer(losses)

    async def _losses(self, location: bytes) -> dict[str, Any]:
        def read(connection: Connection) -> dict[str, Any]:
            query = "SELECT name FROM location WHERE uuid = ?"
            name = connection.exec_driver_sql(query, (location,)).scalar_one()
            gone, unseen = lost_without(connection, location)
            lost = {"gone": gone._asdict(), "unseen": unseen._asdict()}
            return {"id": location.hex(), "name": name, "own": str(gone.files), **lost}

        return await self.store.read(read)

    async def _maybe_location(self, request: Request) -> bytes | None:
        named = request.reference("location") is not None
        return await self._own_location(request) if named else None

    async def _own_location(self, request: Request) -> bytes:
        reference, epoch = request.needed("location"), self.store.own_epoch
        return await self.store.read(lambda c: listing.find_own_location(c, reference, epoch))

    async def find(self, request: Request) -> Answer:
        """Find entries."""
        own, online = self.store.own_device, self.driver.connected()

        def asked(connection: Connection) -> tuple[Query, list[find.Share]]:
            query = find_query(connection, request)
            is_narrow = any((query.tags is not None, query.device, query.locations is not None))
            of = 1 if is_narrow or self._searches else _SHARES
            return query, find.shares(connection, of)

        query, shares = await self.store.read(asked)
        limit, one_more = query.limit, replace(query, limit=query.limit + 1)

        def searching(share: find.Share) -> Callable[[Connection], list[find.Found]]:
            return lambda connection: find.find_share(connection, one_more, own, online, share)

        self._searches += 1
        try:
            found = await self.store.read_each(map(searching, shares))
        finally:
            self._searches -= 1
        entries = find.first_of(found, one_more.limit)
        held_up = await held_up_json(self.waits)
        is_cut = len(entries) > limit
        return Answer({"entries": entries[:limit], "is_cut": is_cut, "held_up": held_up})

    # --- export -----------------------------------------------------------------------------------

    async def export(self, _: Request) -> Answer:
        """Return every synced record, canonically."""
        return Answer(stream=self._export())

    @trio.as_safe_channel
    async def _export(self) -> AsyncGenerator[bytes, None]:
        send, receive = trio.open_memory_channel[bytes](2)

        def produce(connection: Connection) -> None:
            try:
                for chunk in export_lines(connection, self.store.registry):
                    trio.from_thread.run(send.send, chunk)
            except (trio.BrokenResourceError, trio.Cancelled):
                return

        async def run() -> None:
            with send:
                await self.store.read(produce)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            with receive:
                async for chunk in receive:
                    yield chunk

    # --- completion -------------------------------------------------------------------------------

    async def complete(self, request: Request) -> Answer:
        """Return names for the shell's completion."""
        kind, prefix = request.needed("kind"), request.text("prefix") or ""
        epoch, registry = self.store.own_epoch, self.store.registry
        if kind == "conflict":
            names = await self.store.read(lambda c: ids_for_completion(c, registry, prefix))
        else:
            names = await self.store.read(
                lambda c: listing.names_for_completion(c, kind, prefix, epoch)
            )
        return Answer({"names": names})
