"""Putting tags above, beside and into each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from entities.tag_relation import KINDS, PARENT_CHILD
from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.tags import find_tag
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Create, Delete, Update
from registry.derived import link_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.catalogue.hierarchy import Hierarchy, Relation
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, Value

EQUALS = tuple(kind for kind in KINDS if kind != PARENT_CHILD)


class Pair(NamedTuple):
    """Two tags that were meant, with their names, and whether anything was changed."""

    tag: bytes
    name: str
    other: bytes
    other_name: str
    is_news: bool


async def put_under(store: Store, child: str, parent: str) -> Pair:
    """Put a tag under another; it is no news where it was there.

    Raises NotFoundError; UsageError where it would close a circle, or the two are related already.
    """

    def plan(hierarchy: Hierarchy, below: bytes, above: bytes) -> list[Edit]:
        held = hierarchy.between(below, above)
        same = [edge for edge in held if _is_family(edge) and edge.parent == above]
        if any(not edge.skipped for edge in same):
            return []
        if same or above in hierarchy.below(below):
            raise _circle(hierarchy, below, above)
        _refuse_equals(hierarchy, held)
        return [_edge(below, above, {"relation": PARENT_CHILD})]

    return await _relate(store, "tag.parent", child, parent, plan)


def _circle(hierarchy: Hierarchy, below: bytes, above: bytes) -> UsageError:
    lower, upper = hierarchy.name(above), hierarchy.name(below)
    way = {below, *hierarchy.below(below)}
    between = next((edge for edge in sorted(hierarchy.parents(above)) if edge in way), below)
    return UsageError(
        f"that would close a circle: “{lower}” is below “{upper}” already",
        hint=f"leaderless tag unparent {above.hex()} {between.hex()} takes “{lower}” from under"
        f" “{hierarchy.name(between)}”",
    )


async def take_from_under(store: Store, child: str, parent: str) -> Pair:
    """Take a tag from under another, also where that was skipped; raises NotFoundError."""

    def plan(hierarchy: Hierarchy, below: bytes, above: bytes) -> list[Edit]:
        held = hierarchy.between(below, above)
        gone = [edge for edge in held if _is_family(edge) and edge.child == below]
        if not gone:
            raise NotFoundError(
                f"“{hierarchy.name(below)}” is not right under “{hierarchy.name(above)}”",
                hint=f"leaderless tag show {below.hex()}",
            )
        return [Delete("tag_relation", edge.uuid) for edge in gone]

    return await _relate(store, "tag.unparent", child, parent, plan)


async def relate(
    store: Store, one: str, other: str, kind: str, strength: float | None = None
) -> Pair:
    """Say that two tags are synonyms or related; it is no news where they were.

    Raises NotFoundError; UsageError where one is right under the other.
    """
    if kind not in EQUALS:
        raise UsageError(f"there is no relation “{kind}”", hint=f"relations: {', '.join(EQUALS)}")

    def plan(hierarchy: Hierarchy, low: bytes, high: bytes) -> list[Edit]:
        held = hierarchy.between(low, high)
        _refuse_family(hierarchy, held)
        wanted: dict[str | tuple[str, str], Value] = {"relation": kind}
        if strength is not None:
            wanted["strength"] = strength
        if not held:
            # The same two ends give the same link, whoever is named first.
            return [_edge(min(low, high), max(low, high), wanted)]
        if held[0].kind == kind and strength in (None, held[0].strength):
            return []
        return [Update("tag_relation", held[0].uuid, wanted)]

    return await _relate(store, "tag.relate", one, other, plan)


async def unrelate(store: Store, one: str, other: str) -> Pair:
    """Say that two tags are not synonyms or related any more; raises NotFoundError."""

    def plan(hierarchy: Hierarchy, low: bytes, high: bytes) -> list[Edit]:
        gone = [edge for edge in hierarchy.between(low, high) if not _is_family(edge)]
        if not gone:
            raise NotFoundError(
                f"“{hierarchy.name(low)}” and “{hierarchy.name(high)}” are not related",
                hint=f"leaderless tag show {low.hex()}",
            )
        return [Delete("tag_relation", edge.uuid) for edge in gone]

    return await _relate(store, "tag.unrelate", one, other, plan)


async def merge(store: Store, one: str, other: str) -> tuple[bytes, bool]:
    """Make two tags one; returns the id that both are shown as, and whether they were two.

    The older one (of the lesser id) gives the name, whoever is merged into whom: so two devices
    that merge in opposite directions agree.
    """

    def write(transaction: Transaction) -> tuple[bytes, bool]:
        into, joined = find_tag(transaction.conn, one), find_tag(transaction.conn, other)
        if into == joined:
            return into, False
        hierarchy = read_hierarchy(transaction.conn)
        end = hierarchy.loose_end(joined)
        data = {"tag": hierarchy.name(into), "merged": hierarchy.name(joined)}
        transaction.commit("tag.merge", [Update("tag", end, {"merged_into": into})], data)
        return min(into, joined), True

    return await store.write(write)


async def _relate(
    store: Store,
    command: str,
    one: str,
    other: str,
    plan: Callable[[Hierarchy, bytes, bytes], list[Edit]],
) -> Pair:
    """Write what `plan` makes of two tags as one commit, if it makes anything."""

    def write(transaction: Transaction) -> Pair:
        low, high = find_tag(transaction.conn, one), find_tag(transaction.conn, other)
        if low == high:
            raise UsageError(f"“{one}” and “{other}” are one tag")
        hierarchy = read_hierarchy(transaction.conn)
        edits = plan(hierarchy, low, high)
        pair = Pair(low, hierarchy.name(low), high, hierarchy.name(high), bool(edits))
        if edits:
            transaction.commit(command, edits, {"tag": pair.name, "other": pair.other_name})
        return pair

    return await store.write(write)


def _edge(child: bytes, parent: bytes, fields: Mapping[str | tuple[str, str], Value]) -> Edit:
    ends: dict[str | tuple[str, str], Value] = {"child": child, "parent": parent}
    return Create("tag_relation", link_id("tag_relation", child, parent), {**ends, **fields})


def _is_family(edge: Relation) -> bool:
    return edge.kind == PARENT_CHILD


def _refuse_equals(hierarchy: Hierarchy, held: list[Relation]) -> None:
    for edge in held:
        if not _is_family(edge):
            names = f"“{hierarchy.name(edge.child)}” and “{hierarchy.name(edge.parent)}”"
            raise UsageError(
                f"{names} are {edge.kind}, so neither can be under the other",
                hint=f"leaderless tag unrelate {edge.child.hex()} {edge.parent.hex()}",
            )


def _refuse_family(hierarchy: Hierarchy, held: list[Relation]) -> None:
    for edge in held:
        if _is_family(edge):
            raise UsageError(
                f"“{hierarchy.name(edge.child)}” is under “{hierarchy.name(edge.parent)}”",
                hint=f"leaderless tag unparent {edge.child.hex()} {edge.parent.hex()}",
            )
