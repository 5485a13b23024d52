"""What a restored device holds once it has got its rows back: those, and what it wrote alone on top.

Nothing that it wrote alone may be missing but what was deleted in the other life, what hung below
that, and what is there under another id; each is in the location of what it hangs below; and nothing
may be said of an id that went. Of what it wrote before it was started once more it may not be known
whether the other life has deleted it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.store.registers import read_state
from scripts.simulation.oracles import demand
from scripts.simulation.trees import Entry, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from scripts.simulation.workload import Author
    from scripts.simulation.world import World

_OWN = " WHERE e.epoch = (SELECT value FROM meta WHERE name = 'own_epoch') AND e.dead = 0"
_ENTRIES = (
    "SELECT e.uuid, l.uuid, p.uuid, e.name, e.kind, e.size_bytes FROM entry e"
    " JOIN location l ON l.id = e.location LEFT JOIN entry p ON p.id = e.parent"
)


class _File(NamedTuple):
    """The own rows in the file of a device: what no model of them tells."""

    volumes: tuple[bytes, ...]
    locations: dict[bytes, bytes]
    """By uuid the paths."""
    entries: dict[bytes, Entry]
    jobs: dict[bytes, int]
    rev: int


def tree_of_both(world: World, author: Author) -> Tree | None:
    """Return the tree in a device's file if it is one that it once had, and what it wrote alone.

    None if it is not.
    """
    shape = world.witness.tree_of(author.device)
    ours = {uuid for tree in author.alone for uuid in tree.shape()[1]}
    # All that it held alone may be within, too, but what was taken back is not among that.
    taken = [
        tree
        for tree in author.history
        if _is_within(tree, shape[1]) and {*shape[1]} <= {*tree.shape()[1], *ours}
    ]
    if not taken or not author.alone:
        return None
    base = max(taken, key=lambda tree: (tree == author.tree, len(tree.shape()[1]), tree.rev))
    with world.witness.at(author.device).begin() as connection:
        held = _read(connection, shape)
    return Tree(held.rev, held.volumes, tuple(held.locations), held.entries, base.gone, held.jobs)


def all_is_regained(world: World, author: Author) -> None:
    """A device went on: nothing is missing of what it wrote alone, nothing is back that was deleted."""
    device, base = author.device, author.tree
    shape = world.witness.tree_of(device)
    back = {*shape[1]} & {*base.gone}
    demand(not back, f"{device.name} brought back what it had deleted")
    with world.witness.at(device).begin() as connection:
        held = _read(connection, shape)
        found = [
            _missing(author, tree, held, knows_jobs=_knows_jobs(author)) for tree in author.alone
        ]
        missing = min(found, key=len, default=[])
        demand(not missing, f"{device.name} lost what it had written since it was put back")
        apart = [
            entry
            for entry in held.entries.values()
            if entry.parent is not None and held.entries[entry.parent].location != entry.location
        ]
        demand(not apart, f"{device.name} put a file into another location than its folder")
        _nothing_is_said_of_ids_that_went(connection, author, held)


def _knows_jobs(author: Author) -> bool:
    return author.device.registry.get("job") is not None


def _is_within(tree: Tree, rows: dict[bytes, tuple[bytes | None, bytes, int]]) -> bool:
    return all(rows.get(uuid) == row for uuid, row in tree.shape()[1].items())


def _read(
    connection: Connection, shape: tuple[int, dict[bytes, tuple[bytes | None, bytes, int]]]
) -> _File:
    def rows(query: str) -> Sequence[Any]:
        return connection.exec_driver_sql(query + _OWN + " ORDER BY e.id").all()

    entries = {row[0]: Entry(*row) for row in rows(_ENTRIES)}
    return _File(
        tuple(row[0] for row in rows("SELECT e.uuid FROM volume e")),
        {row[0]: row[1] for row in rows("SELECT e.uuid, e.path FROM location e")},
        entries,
        {uuid: done for uuid, (_, _, done) in shape[1].items() if uuid not in entries},
        shape[0],
    )


def _missing(author: Author, tree: Tree, held: _File, *, knows_jobs: bool) -> list[bytes]:
    """Return what is missing of a tree that was written alone, with no reason for it."""
    gone = author.tree.gone
    # A clock that was set back since gives ids that are no later than those of then.
    before = max([*author.started.entries, *author.started.jobs], default=b"")
    places = {
        (entry.location, entry.parent, entry.name, entry.kind): entry.uuid
        for entry in held.entries.values()
    }
    standing: dict[bytes | None, bytes | None] = {}
    missing = (
        []
        if not knows_jobs
        else [uuid for uuid in tree.jobs if uuid not in {*held.jobs, *gone} and uuid > before]
    )

    def place(uuid: bytes) -> bytes | None:
        """Return what stands for an entry now, None if it was left behind."""
        entry = tree.entries[uuid]
        if uuid in held.entries:
            return uuid
        if uuid in gone:
            return None
        above = None if entry.parent is None else standing.get(entry.parent) or stand(entry.parent)
        if entry.parent is not None and above is None:
            return None
        location = entry.location if above is None else held.entries[above].location
        found = places.get((location, above, entry.name, entry.kind))
        is_there = entry.location in held.locations or above is not None
        if found is None and is_there and uuid > before:
            missing.append(uuid)
        return found

    def stand(uuid: bytes) -> bytes | None:
        if uuid not in standing:
            standing[uuid] = place(uuid)
        return standing[uuid]

    for uuid in tree.entries:
        stand(uuid)
    return missing


def _nothing_is_said_of_ids_that_went(connection: Connection, author: Author, held: _File) -> None:
    """Notes on what is there under another id are notes on that; but those that others have locked.

    Those on what was deleted in the other life stay with that, though it was found anew there.
    """
    said = connection.exec_driver_sql("SELECT uuid, target FROM user_metadata").all()
    for record, target in said:
        trees = [tree for tree in author.alone if target in tree.entries]
        if not trees or target in held.entries or target in author.tree.gone:
            continue
        entry = trees[0].entries[target]
        twins = [
            other
            for other in held.entries.values()
            if (other.location, other.parent, other.name, other.kind)
            == (entry.location, entry.parent, entry.name, entry.kind)
        ]
        locked = read_state(connection, "user_metadata", record).locked_by
        loose = twins and locked in (None, author.device.id)
        demand(not loose, f"{author.device.name} left behind what was said of a file that is there")
