"""The routes about files: what is said of them, where copies are, and everything at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leaderless.catalogue import copies, metadata
from leaderless.catalogue.listing import find_device, find_locations
from leaderless.catalogue.show import show
from leaderless.catalogue.tags import find_tag
from leaderless.catalogue.targets import find_target
from leaderless.daemon.filters import MAX_FOUND, fields_of, files_of
from leaderless.errors import UsageError
from leaderless.status.http import Answer
from registry.changes import UNSET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection

    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver
    from registry.changes import Value

    Handler = Callable[[Request], Awaitable[Answer]]

PLAIN_FIELDS = ("note", "favorite", "hidden", "rating")
DEFAULT_LIMIT = 50
_FEW, _FEW_CHARACTERS = 8, 80


@dataclass
class MetadataDesk:
    """Answers about files."""

    store: Store
    driver: Driver

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("POST", "/v1/metadata"): self.annotate,
            ("GET", "/v1/show"): self.show,
            ("GET", "/v1/copies"): self.copies,
            ("GET", "/v1/at-risk"): self.at_risk,
            ("GET", "/v1/duplicates"): self.duplicates,
        }

    async def annotate(self, request: Request) -> Answer:
        """Say something of files: each of `fields` set, cleared by null, or {"unset": true}."""
        fields = _registers(request)
        plain = len(fields) == 1 and isinstance(next(iter(fields)), str)
        command = f"metadata.{next(iter(fields))}" if plain else "metadata.custom_data"
        if len(fields) > 1:
            command = "metadata.set"
        data = {_name(key): _in_few_words(value) for key, value in list(fields.items())[:_FEW]}
        done = await metadata.annotate(self.store, files_of(request), fields, command, data)
        return Answer(
            {
                "id": None if done.command_id is None else done.command_id.hex(),
                "files": str(done.targets),
                "count": str(done.records),
                "own": str(done.own),
            }
        )

    async def show(self, request: Request) -> Answer:
        """Return everything known of a file."""
        reference = request.needed("target")
        own, online = self.store.own_device, self.driver.connected()

        def shown(connection: Connection) -> dict[str, Any]:
            entry = find_target(connection, self.store.own_epoch, reference).entry
            return show(connection, self.store.registry, entry, own, online)

        return Answer(await self.store.read(shown))

    async def copies(self, request: Request) -> Answer:
        """Return every copy of a file."""
        reference, limit = request.needed("target"), _limit(request)
        own, online = self.store.own_device, self.driver.connected()

        def listed(connection: Connection) -> dict[str, Any]:
            entry = find_target(connection, self.store.own_epoch, reference).entry
            return copies.copies(connection, entry, own, online, limit)

        return Answer(await self.store.read(listed))

    async def at_risk(self, request: Request) -> Answer:
        """Return files that exist in one place only, or of which that is not known."""
        own, online = self.store.own_device, self.driver.connected()
        return Answer(
            await self.store.read(lambda c: copies.at_risk(c, _chosen(c, request), own, online))
        )

    async def duplicates(self, request: Request) -> Answer:
        """Return contents that exist more than once."""
        own, online = self.store.own_device, self.driver.connected()
        larger = request.number("larger", 0) or 0
        return Answer(
            await self.store.read(
                lambda c: copies.duplicates(c, _chosen(c, request), larger, own, online)
            )
        )


def _registers(request: Request) -> dict[str | tuple[str, str], Value]:
    """Return what a request says of files, by register."""
    found: dict[str | tuple[str, str], Value] = {}
    for name, value in fields_of(request).items():
        if name == "custom_data" and isinstance(value, dict):
            found.update((("custom_data", key), _value(item)) for key, item in value.items())
        elif name in PLAIN_FIELDS:
            found[name] = _value(value)
        else:
            known = ", ".join((*PLAIN_FIELDS, "custom_data (an object)"))
            raise UsageError(f"“{name}” cannot be said of a file", hint=f"fields: {known}")
    if not found:
        raise UsageError("nothing is said", hint="fields is an object with a field at least")
    return found


def _value(said: object) -> Value:
    return UNSET if said == {"unset": True} else said


def _name(key: str | tuple[str, str]) -> str:
    return key if isinstance(key, str) else ".".join(key)[:_FEW_CHARACTERS]


def _in_few_words(value: Value) -> Value:
    if value is UNSET:
        return "(unset)"
    return value[:_FEW_CHARACTERS] if isinstance(value, str) else value


def _limit(request: Request) -> int:
    return request.within("limit", DEFAULT_LIMIT, 1, MAX_FOUND)


def _chosen(connection: Connection, request: Request) -> copies.Chosen:
    """Return which files a request asks about; raises NotFoundError for a wrong filter."""
    device, tag, location = request.text("device"), request.text("tag"), request.text("location")
    return copies.Chosen(
        None if device is None else find_device(connection, device),
        None if location is None else find_locations(connection, location),
        None if tag is None else find_tag(connection, tag),
        _limit(request),
    )
