"""The rooms of one device, joined as the daemon joins them, for asking their routes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from leaderless.config import find_paths, load
from leaderless.daemon.album_routes import AlbumDesk
from leaderless.daemon.catalogue_routes import CatalogueDesk
from leaderless.daemon.history_routes import HistoryDesk
from leaderless.daemon.member_routes import MemberDesk
from leaderless.daemon.metadata_routes import MetadataDesk
from leaderless.daemon.overview import Overview
from leaderless.daemon.pairing_desk import PairingDesk
from leaderless.daemon.presence import Presence
from leaderless.daemon.proof_routes import ProofDesk
from leaderless.daemon.record_routes import RecordDesk
from leaderless.daemon.routes import Desk
from leaderless.daemon.tagging_routes import TaggingDesk
from leaderless.indexer.passes import Settings
from leaderless.indexer.service import open_indexer
from leaderless.status.events import Events
from leaderless.status.http import Answer, Request, Routes
from leaderless.sync.driver import open_sync
from tests.replicas import Replica, key_of, query_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from leaderless.indexer.service import Indexer
    from leaderless.sync.driver import Driver

OPTIONS = 'name = "anna"\nlisten_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
DEADLINE_S = 60.0


@dataclass
class Rooms:
    """A device's open rooms, and what it told."""

    replica: Replica
    driver: Driver
    indexer: Indexer
    desk: PairingDesk
    overview: Overview
    events: Events
    presence: Presence
    routes: Routes | None = None
    proofs: ProofDesk | None = None
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    suggested: list[tuple[str, int]] = field(default_factory=list)
    changed: trio.Event = field(default_factory=trio.Event)

    async def ask(self, method: str, path: str, /, **given: Any) -> Answer:
        """Ask a route: what is given is the query of a GET, the body of anything else."""
        assert self.routes is not None
        request = (
            Request(method, path, given) if method == "GET" else Request(method, path, {}, given)
        )
        return await self.routes.answer(request)

    async def data(self, method: str, path: str, /, **given: Any) -> Mapping[str, Any]:
        """Ask a route that has to answer well; return what it says."""
        answer = await self.ask(method, path, **given)
        assert answer.status == 200, answer.data
        return answer.data

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return query_file(self.replica.store.path, query)


@asynccontextmanager
async def open_rooms(
    folder: Path,
    replica: Replica,
    options: str = OPTIONS,
    addresses: tuple[str, ...] = ("192.0.2.1:4747",),
    deadline_s: float = DEADLINE_S,
) -> AsyncIterator[Rooms]:
    """Open the rooms of a replica; its configuration stands in `folder`."""
    paths = find_paths(str(folder), {})
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(options)
    config = load(paths)
    store, identity = replica.store, replica.identity
    rooms: Rooms | None = None
    presence = Presence(store.now_ms)
    events = Events("boot")

    def news() -> None:
        if rooms is not None:
            rooms.changed.set()
            rooms.changed = trio.Event()

    def tell(kind: str, data: Mapping[str, object]) -> None:
        events.add(kind, 0, data)
        if rooms is not None:
            rooms.told.append((kind, data))
        news()

    def suggest(host: str, port: int) -> None:
        if rooms is not None:
            rooms.suggested.append((host, port))

    members = await store.membership(key_of)
    await presence.load(store)
    with trio.fail_after(deadline_s):
        async with (
            trio.open_nursery() as nursery,
            open_sync(store, members, "test", tell) as driver,
            open_indexer(store, Settings(watch=False), tell) as indexer,
        ):
            store.listen(news)
            applier = driver.applier
            desk = PairingDesk(
                nursery, store, identity, config, applier, lambda: addresses, suggest, tell
            )
            overview = Overview(store, driver, indexer, lambda: applier.members, presence)
            rooms = opened = Rooms(replica, driver, indexer, desk, overview, events, presence)
            opened.proofs = ProofDesk(store, driver, overview, lambda: b"nonce--8", tell)
            desks = (
                CatalogueDesk(store, driver, indexer, presence, waits=overview.waits),
                HistoryDesk(store),
                TaggingDesk(store),
                AlbumDesk(store, driver),
                MetadataDesk(store, driver),
                RecordDesk(store),
                MemberDesk(store, identity, driver, tell),
                opened.proofs,
            )
            api = Desk(config, desks, overview, desk, events, lambda: opened.changed)
            opened.routes = api.routes()
            yield opened
            nursery.cancel_scope.cancel()
