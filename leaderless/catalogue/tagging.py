"""Putting tags on files and taking them off: one action, however many files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.selection import folders_among, select
from leaderless.catalogue.tags import find_tag
from leaderless.catalogue.targets import missing_contents
from leaderless.errors import UsageError
from registry.changes import Create, Delete, Update
from registry.derived import link_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.find import Query
    from leaderless.catalogue.targets import Target
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value

SOURCES = ("user", "ai", "import")


class Files(NamedTuple):
    """Which files: named one by one, and found by a search (made within the transaction)."""

    references: Sequence[str] = ()
    query: Callable[[Connection], Query] | None = None
    scope: str | None = None

    def select(self, connection: Connection, own_epoch: int) -> list[Target]:
        """Return their targets, each entry once; raises NotFoundError or UsageError."""
        query = None if self.query is None else self.query(connection)
        return select(connection, own_epoch, self.references, query, self.scope)


class Tagged(NamedTuple):
    """What was done: how many files were meant, and for how many of them it changed something.

    Files are folders, too: so many of those that were meant. `action` is what an undo takes back, None
    where nothing was changed.
    """

    tag: bytes
    name: str
    targets: int
    touched: int
    folders: int
    action: bytes | None


async def add_tag(
    store: Store, reference: str, files: Files, context: str | None = None, source: str = "user"
) -> Tagged:
    """Put a tag on files, those that do not carry it yet; a context given anew replaces the old.

    Raises NotFoundError or UsageError; nothing is changed then.
    """
    if source not in SOURCES:
        raise UsageError(f"there is no source “{source}”", hint=f"sources: {', '.join(SOURCES)}")

    def write(transaction: Transaction) -> Tagged:
        tag, name, members = _tag(transaction.conn, reference)
        targets = files.select(transaction.conn, store.own_epoch)
        held = _held(transaction.conn, members)
        edits: list[Edit] = []
        new: dict[bytes, Target] = {}
        changed: set[bytes] = set()
        for target in targets:
            links = held.get(target.item)
            if links is None:
                new[target.item] = target
            elif context is not None and links[0][1] != context and target.item not in changed:
                changed.add(target.item)
                edits.append(Update("user_metadata_tag", links[0][0], {"context": context}))
        edits += missing_contents(transaction.conn, new.values())
        edits += [_link(tag, target, context, source) for target in new.values()]
        touched = sum(target.item in new or target.item in changed for target in targets)
        action = None
        if edits:
            action = transaction.commit("tag.add", edits, {"tag": name, "count": touched})
        folders = folders_among(transaction.conn, targets)
        return Tagged(tag, name, len(targets), touched, folders, action)

    return await store.write(write)


def _link(tag: bytes, target: Target, context: str | None, source: str) -> Create:
    fields: dict[str | tuple[str, str], Value] = {
        "item": target.item,
        "scope": target.scope,
        "tag": tag,
        "source": source,
    }
    if context is not None:
        fields["context"] = context
    return Create("user_metadata_tag", link_id("user_metadata_tag", target.item, tag), fields)


async def remove_tag(store: Store, reference: str, files: Files) -> Tagged:
    """Take a tag off files, whether they carry it themselves or by their content.

    A tag that hangs on a content goes from all its copies. Raises NotFoundError or UsageError.
    """

    def write(transaction: Transaction) -> Tagged:
        tag, name, members = _tag(transaction.conn, reference)
        targets = files.select(transaction.conn, store.own_epoch)
        held = _held(transaction.conn, members)
        gone: dict[bytes, None] = {}
        touched = 0
        for target in targets:
            items = (target.item,) if files.scope else dict.fromkeys((target.item, target.entry))
            links = [uuid for item in items for uuid, _ in held.get(item, ())]
            gone.update(dict.fromkeys(links))
            touched += bool(links)
        action = None
        if gone:
            edits = [Delete("user_metadata_tag", uuid) for uuid in gone]
            action = transaction.commit("tag.remove", edits, {"tag": name, "count": touched})
        folders = folders_among(transaction.conn, targets)
        return Tagged(tag, name, len(targets), touched, folders, action)

    return await store.write(write)


def _tag(connection: Connection, reference: str) -> tuple[bytes, str, list[bytes]]:
    """Return a canonical tag, its name, and all tags that are shown as it."""
    tag = find_tag(connection, reference)
    hierarchy = read_hierarchy(connection)
    return tag, hierarchy.name(tag), hierarchy.members(tag)


def _held(connection: Connection, tags: Sequence[bytes]) -> dict[bytes, list[tuple[bytes, str]]]:
    """Return the links of these tags by item: their ids and contexts."""
    held: dict[bytes, list[tuple[bytes, str]]] = {}
    for tag in tags:
        for item, uuid, context in connection.exec_driver_sql(
            "SELECT item, uuid, context FROM user_metadata_tag WHERE tag = ? ORDER BY uuid", (tag,)
        ):
            held.setdefault(item, []).append((uuid, context))
    return held
