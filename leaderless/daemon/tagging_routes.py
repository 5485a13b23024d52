"""The routes about tags: editing them, putting them on files, and how they stand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderless.catalogue import tag_listing, tag_relations, tagging, tags
from leaderless.daemon.filters import fields_of, files_of
from leaderless.errors import UsageError
from leaderless.status.http import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from leaderless.status.http import Request
    from leaderless.store.store import Store

    Handler = Callable[[Request], Awaitable[Answer]]


@dataclass
class TaggingDesk:
    """Answers about tags."""

    store: Store

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/tags"): self.tags,
            ("GET", "/v1/tags/show"): self.show,
            ("POST", "/v1/tags/create"): self.create,
            ("POST", "/v1/tags/set"): self.set,
            ("POST", "/v1/tags/rename"): self.rename,
            ("POST", "/v1/tags/delete"): self.delete,
            ("POST", "/v1/tags/restore"): self.restore,
            ("POST", "/v1/tags/add"): self.add,
            ("POST", "/v1/tags/remove"): self.remove,
            ("POST", "/v1/tags/parent"): self.parent,
            ("POST", "/v1/tags/unparent"): self.unparent,
            ("POST", "/v1/tags/relate"): self.relate,
            ("POST", "/v1/tags/unrelate"): self.unrelate,
            ("POST", "/v1/tags/merge"): self.merge,
        }

    # --- tags themselves --------------------------------------------------------------------------

    async def tags(self, request: Request) -> Answer:
        """Return every tag, or those that are deleted."""
        deleted = request.text("deleted") is not None
        listed = tag_listing.list_deleted if deleted else tag_listing.list_tags
        return Answer({"tags": await self.store.read(listed)})

    async def show(self, request: Request) -> Answer:
        """Return one tag."""
        reference = request.needed("tag")
        return await self._tag(await self.store.read(lambda c: tags.find_tag(c, reference)))

    async def create(self, request: Request) -> Answer:
        """Make a tag."""
        name, another = request.needed("name"), request.body.get("another") is True
        made = tags.create_tag(self.store, name, fields_of(request), another=another)
        return await self._tag(await made)

    async def set(self, request: Request) -> Answer:
        """Change fields of a tag."""
        fields = fields_of(request)
        done = await tags.set_tag(self.store, request.needed("tag"), fields)
        return await self._tag(done.uuid, done.action)

    async def rename(self, request: Request) -> Answer:
        """Give a tag another name."""
        reference, name = request.needed("tag"), request.needed("name")
        another = request.body.get("another") is True
        done = await tags.rename_tag(self.store, reference, name, another=another)
        return await self._tag(done.uuid, done.action)

    async def delete(self, request: Request) -> Answer:
        """Delete a tag."""
        return Answer({"id": (await tags.delete_tag(self.store, request.needed("tag"))).hex()})

    async def restore(self, request: Request) -> Answer:
        """Bring a deleted tag back."""
        return await self._tag(await tags.restore_tag(self.store, request.needed("tag")))

    async def _tag(self, uuid: bytes, action: bytes | None = None) -> Answer:
        """Answer with a tag, and with the id of the action that made it so."""
        shown = await self.store.read(lambda c: tag_listing.show_tag(c, uuid))
        return Answer({"tag": shown} | ({} if action is None else {"action": action.hex()}))

    # --- on files ---------------------------------------------------------------------------------

    async def add(self, request: Request) -> Answer:
        """Put a tag on files."""
        source = request.text("source") or "user"
        return _tagged(
            await tagging.add_tag(
                self.store,
                request.needed("tag"),
                files_of(request),
                request.text("context"),
                source,
            )
        )

    async def remove(self, request: Request) -> Answer:
        """Take a tag off files."""
        return _tagged(
            await tagging.remove_tag(self.store, request.needed("tag"), files_of(request))
        )

    # --- to each other ----------------------------------------------------------------------------

    async def parent(self, request: Request) -> Answer:
        """Put a tag under another."""
        ends = request.needed("child"), request.needed("parent")
        return _paired("new", ("child", "parent"), await tag_relations.put_under(self.store, *ends))

    async def unparent(self, request: Request) -> Answer:
        """Take a tag from under another."""
        ends = request.needed("child"), request.needed("parent")
        return _paired(
            "gone", ("child", "parent"), await tag_relations.take_from_under(self.store, *ends)
        )

    async def relate(self, request: Request) -> Answer:
        """Say that two tags are synonyms or related."""
        strength = request.body.get("strength")
        if strength is not None and (
            not isinstance(strength, int | float) or not 0 <= strength <= 1
        ):
            raise UsageError("strength is a number from 0 to 1")
        ends = request.needed("tag"), request.needed("other")
        kind = request.text("kind") or "related"
        done = await tag_relations.relate(self.store, *ends, kind, strength)
        return _paired("new", ("tag", "other"), done)

    async def unrelate(self, request: Request) -> Answer:
        """Say that two tags are not synonyms or related any more."""
        ends = request.needed("tag"), request.needed("other")
        return _paired("gone", ("tag", "other"), await tag_relations.unrelate(self.store, *ends))

    async def merge(self, request: Request) -> Answer:
        """Make two tags one."""
        ends = request.needed("tag"), request.needed("other")
        uuid, new = await tag_relations.merge(self.store, *ends)
        shown = await self.store.read(lambda c: tag_listing.show_tag(c, uuid))
        return Answer({"new": new, "tag": shown})


def _paired(what: str, ends: tuple[str, str], done: tag_relations.Pair) -> Answer:
    """Return what became of two tags, each with the name that it has."""
    named = ((done.tag, done.name), (done.other, done.other_name))
    tags = ({"id": uuid.hex(), "name": name} for uuid, name in named)
    return Answer({what: done.is_news, **dict(zip(ends, tags, strict=True))})


def _tagged(done: tagging.Tagged) -> Answer:
    return Answer(
        {
            "tag": {"id": done.tag.hex(), "canonical_name": done.name},
            "files": str(done.targets),
            "folders": str(done.folders),
            "count": str(done.touched),
            "action": None if done.action is None else done.action.hex(),
        }
    )
