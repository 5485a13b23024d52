"""How tags stand to each other: what was merged, what is above and below, what is merely related.

Everything hangs on canonical tags here: an edge between merged ones counts for what they were
merged into. Edges that the model skips do not count; nor do those that only a merge turns into a
circle: they are taken in the order in which they were written, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from entities.tag_relation import PARENT_CHILD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection


class Relation(NamedTuple):
    """A relation between two canonical tags; of a synonym or related one the ends are equals."""

    uuid: bytes
    child: bytes
    parent: bytes
    kind: str
    strength: float | None
    skipped: bool


class Hierarchy:
    """The tags of a library as they stand now; read once, asked often."""

    def __init__(
        self,
        names: Mapping[bytes, str | None],
        canonical: Mapping[bytes, bytes],
        merged_into: Mapping[bytes, bytes],
        edges: Iterable[Relation],
    ) -> None:
        self._names = names
        self._canonical = canonical
        self._merged_into = merged_into
        self._members: dict[bytes, list[bytes]] = {}
        for uuid in sorted(names):
            self._members.setdefault(self.canonical(uuid), []).append(uuid)
        self._parents: dict[bytes, set[bytes]] = {}
        self._children: dict[bytes, set[bytes]] = {}
        self._relations: dict[bytes, list[Relation]] = {}
        for edge in edges:
            self._take(edge)

    def _take(self, edge: Relation) -> None:
        child, parent = self.canonical(edge.child), self.canonical(edge.parent)
        if child == parent:
            return  # between two that were merged since: it says nothing any more
        if edge.kind == PARENT_CHILD and not edge.skipped:
            closes = child in self.above(parent)
            edge = edge._replace(skipped=closes)
            if not closes:
                self._parents.setdefault(child, set()).add(parent)
                self._children.setdefault(parent, set()).add(child)
        edge = edge._replace(child=child, parent=parent)
        self._relations.setdefault(child, []).append(edge)
        self._relations.setdefault(parent, []).append(edge)

    def name(self, tag: bytes) -> str:
        """Return what a tag is called."""
        return self._names.get(tag) or tag.hex()

    def canonical(self, tag: bytes) -> bytes:
        """Return the tag that one is shown as."""
        return self._canonical.get(tag, tag)

    def members(self, tag: bytes) -> list[bytes]:
        """Return all tags that are shown as the same one as `tag`, itself among them, sorted."""
        return self._members.get(self.canonical(tag), [tag])

    def loose_end(self, tag: bytes) -> bytes:
        """Return the one among merged tags whose `merged_into` can be written at no loss.

        That is the one which is merged into nothing; where two devices merged in opposite
        directions, one that is joined twice.
        """
        seen: set[bytes] = set()
        while tag not in seen:
            seen.add(tag)
            tag = self._merged_into.get(tag, tag)
        return tag

    def relations(self, tag: bytes) -> list[Relation]:
        """Return all relations of a canonical tag, skipped ones too."""
        return self._relations.get(tag, [])

    def between(self, one: bytes, other: bytes) -> list[Relation]:
        """Return all relations between two canonical tags, in either direction."""
        return [edge for edge in self.relations(one) if other in (edge.child, edge.parent)]

    def parents(self, tag: bytes) -> set[bytes]:
        """Return the canonical tags right above one."""
        return self._parents.get(tag, set())

    def above(self, tag: bytes) -> set[bytes]:
        """Return all canonical tags above one, not itself."""
        return _closure(self._parents, tag)

    def below(self, tag: bytes) -> set[bytes]:
        """Return all canonical tags below one, not itself."""
        return _closure(self._children, tag)

    def skipped(self) -> list[Relation]:
        """Return the edges between canonical tags that are not in effect, each once."""
        found = {edge.uuid: edge for edges in self._relations.values() for edge in edges}
        return sorted(edge for edge in found.values() if edge.skipped)

    def circle(self, edge: Relation) -> list[bytes]:
        """Return the tags from a skipped edge's parent up to its child: what it would close.

        The shortest way; empty where there is none any more.
        """
        below: dict[bytes, bytes | None] = {edge.parent: None}
        for tag in (waiting := [edge.parent]):
            for above in sorted(self.parents(tag) - below.keys()):
                below[above] = tag
                waiting.append(above)
        way: list[bytes] = []
        at: bytes | None = edge.child if edge.child in below else None
        while at is not None:
            way.append(at)
            at = below[at]
        return way[::-1]

    def carried(self, tag: bytes) -> list[bytes]:
        """Return every tag that a file may carry to be found by `tag`: merged ones and all below."""
        tops = {self.canonical(tag), *self.below(self.canonical(tag))}
        return sorted(member for top in tops for member in self.members(top))


def _closure(edges: Mapping[bytes, set[bytes]], tag: bytes) -> set[bytes]:
    found: set[bytes] = set()
    waiting = [tag]
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def circles(connection: Connection) -> list[dict[str, Any]]:
    """Return for JSON every edge of all tags that is not in effect, as it would close a circle."""
    query = "SELECT 1 FROM tag_relation WHERE relation = ? LIMIT 1"
    if connection.exec_driver_sql(query, (PARENT_CHILD,)).first() is None:
        return []
    hierarchy = read_hierarchy(connection)
    return [skipped_json(hierarchy, edge) for edge in hierarchy.skipped()]


def skipped_json(hierarchy: Hierarchy, edge: Relation) -> dict[str, Any]:
    """Return an edge that is not in effect; `circle` are the names from its parent up to its child."""
    return {
        "child": hierarchy.name(edge.child),
        "child_id": edge.child.hex(),
        "parent": hierarchy.name(edge.parent),
        "parent_id": edge.parent.hex(),
        "circle": [hierarchy.name(tag) for tag in hierarchy.circle(edge)],
    }


def read_hierarchy(connection: Connection) -> Hierarchy:
    """Return how all tags stand to each other."""
    tags = connection.exec_driver_sql(
        "SELECT uuid, coalesce(canonical_name, display_name), canonical, merged_into FROM tag"
    ).all()
    edges = connection.exec_driver_sql(
        "SELECT uuid, child, parent, coalesce(relation, 'related'), strength, skipped"
        " FROM tag_relation ORDER BY written, uuid"
    ).all()
    return Hierarchy(
        {row[0]: row[1] for row in tags},
        {row[0]: row[2] for row in tags if row[2] is not None},
        {row[0]: row[3] for row in tags if row[3] is not None},
        (Relation(*row)._replace(skipped=bool(row[5])) for row in edges),
    )
