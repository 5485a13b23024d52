"""The routes about records of any shared model, built in or of a package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leaderless.catalogue import anymodel
from leaderless.daemon.filters import MAX_FOUND, fields_of
from leaderless.status.http import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Connection

    from leaderless.status.http import Request
    from leaderless.store.store import Store

    Handler = Callable[[Request], Awaitable[Answer]]

DEFAULT_LIMIT = 1_000


@dataclass
class RecordDesk:
    """Answers about records; `packages` says which package a model is from."""

    store: Store
    packages: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/v1/records"): self.records,
            ("GET", "/v1/records/show"): self.show,
            ("POST", "/v1/records/create"): self.create,
            ("POST", "/v1/records/set"): self.set,
            ("POST", "/v1/records/delete"): self.delete,
            ("POST", "/v1/records/restore"): self.restore,
        }

    async def models(self, _: Request) -> Answer:
        """Return every shared model."""
        registry = self.store.registry
        found = await self.store.read(lambda c: anymodel.list_models(c, registry, self.packages))
        return Answer({"models": found})

    async def records(self, request: Request) -> Answer:
        """Return the records of a model."""
        registry = self.store.registry
        model = anymodel.find_model(registry, request.needed("model"))
        limit = request.within("limit", DEFAULT_LIMIT, 1, MAX_FOUND)
        found = await self.store.read(lambda c: anymodel.list_records(c, registry, model, limit))
        names = [item.name for item in model.fields]
        return Answer({"model": model.sync_name, "fields": names, "records": found})

    async def show(self, request: Request) -> Answer:
        """Return one record."""
        registry, reference = self.store.registry, request.needed("id")
        model = anymodel.find_model(registry, request.needed("model"))

        def shown(connection: Connection) -> dict[str, Any]:
            record = anymodel.find_record(connection, model, reference, alive=True)
            return anymodel.show_record(connection, registry, model, record)

        return Answer({"model": model.sync_name, "record": await self.store.read(shown)})

    async def create(self, request: Request) -> Answer:
        """Make a record."""
        name = request.needed("model")
        return await self._record(
            name, await anymodel.create_record(self.store, name, fields_of(request))
        )

    async def set(self, request: Request) -> Answer:
        """Change fields of a record."""
        name, reference = request.needed("model"), request.needed("id")
        return await self._record(
            name, await anymodel.set_record(self.store, name, reference, fields_of(request))
        )

    async def delete(self, request: Request) -> Answer:
        """Delete a record."""
        name, reference = request.needed("model"), request.needed("id")
        record = await anymodel.delete_record(self.store, name, reference)
        return Answer({"model": name, "id": record.hex()})

    async def restore(self, request: Request) -> Answer:
        """Bring a deleted record back."""
        name, reference = request.needed("model"), request.needed("id")
        return await self._record(name, await anymodel.restore_record(self.store, name, reference))

    async def _record(self, name: str, record: bytes) -> Answer:
        registry = self.store.registry
        model = anymodel.find_model(registry, name)
        shown = await self.store.read(lambda c: anymodel.show_record(c, registry, model, record))
        return Answer({"model": name, "record": shown})
