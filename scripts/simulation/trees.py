"""What a device is known to own: the rows it must hold, and those it has deleted.

Kept beside the store, by rules of its own: what a device acknowledged stands here, and what it was
told to do while it died may have happened or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.simulation.models import JOB_COLUMNS, NEW_FIELD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leaderless.store.transaction import Transaction

VOLUME_COLUMNS = ("uuid", "fingerprint", "display_name")
LOCATION_COLUMNS = ("uuid", "volume", "name", "path", "index_mode")
ENTRY_COLUMNS = ("uuid", "location", "parent", "name", "kind", "size_bytes")
MOST_ENTRIES = 60


class Entry(NamedTuple):
    """A row of the entry table as its owner wrote it."""

    uuid: bytes
    location: bytes
    parent: bytes | None
    name: bytes
    kind: str
    size: int


@dataclass(frozen=True)
class Tree:
    """The rows of one owner, and the rev that each deleted one got."""

    rev: int = 0
    volumes: tuple[bytes, ...] = ()
    locations: tuple[bytes, ...] = ()
    entries: dict[bytes, Entry] = field(default_factory=dict)
    gone: dict[bytes, int] = field(default_factory=dict)
    jobs: dict[bytes, int] = field(default_factory=dict)
    """Of a model that some devices do not know: how much is done of each."""

    def shape(self) -> tuple[int, dict[bytes, tuple[bytes | None, bytes, int]]]:
        """Return rev, entries and jobs as `Witness.tree_of` reads them from a file."""
        rows = {
            entry.uuid: (entry.parent, entry.name, entry.size) for entry in self.entries.values()
        }
        return self.rev, {**rows, **{uuid: (None, b"", done) for uuid, done in self.jobs.items()}}

    def folders(self) -> list[Entry]:
        """Return the directories."""
        return [entry for entry in self.entries.values() if entry.kind == "directory"]

    def below(self, uuid: bytes) -> list[bytes]:
        """Return an entry and all below it, children first."""
        children = [item.uuid for item in self.entries.values() if item.parent == uuid]
        return [*(deep for child in children for deep in self.below(child)), uuid]


@dataclass
class Change:
    """What one transaction does to a tree: rows to put, rows to drop, and the tree afterwards."""

    tree: Tree
    acts: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)

    def put(self, model: str, row: tuple[Any, ...]) -> None:
        """Write a row."""
        self.acts.append(("put", model, row))
        self.tree = Tree(
            self.tree.rev + 1,
            (*self.tree.volumes, row[0]) if model == "volume" else self.tree.volumes,
            (*self.tree.locations, row[0]) if model == "location" else self.tree.locations,
            {**self.tree.entries, row[0]: Entry(*row)} if model == "entry" else self.tree.entries,
            self.tree.gone,
            {**self.tree.jobs, row[0]: row[2]} if model == "job" else self.tree.jobs,
        )

    def drop(self, model: str, uuid: bytes) -> None:
        """Delete a row."""
        self.acts.append(("drop", model, (uuid,)))
        rev = self.tree.rev + 1
        self.tree = Tree(
            rev,
            self.tree.volumes,
            tuple(item for item in self.tree.locations if item != uuid),
            {key: entry for key, entry in self.tree.entries.items() if key != uuid},
            {**self.tree.gone, uuid: rev},
            {key: done for key, done in self.tree.jobs.items() if key != uuid},
        )

    def write(self, transaction: Transaction) -> None:
        """Do it."""
        columns: dict[str, tuple[str, ...]] = {
            "volume": VOLUME_COLUMNS,
            "location": LOCATION_COLUMNS,
            "entry": ENTRY_COLUMNS,
            "job": JOB_COLUMNS,
        }
        known = transaction.registry.get("entry")
        if known is not None and known.field(NEW_FIELD) is not None:
            columns["entry"] += (NEW_FIELD,)
        for what, model, row in self.acts:
            if what == "put" and len(columns[model]) > len(row):
                transaction.put(model, columns[model], [(*row, row[-1] % 8)])
            elif what == "put":
                transaction.put(model, columns[model], [row])
            else:
                transaction.drop(model, row)


def planted(change: Change, new: tuple[bytes, bytes, bytes], at: int) -> None:
    """Add a location with a root to a tree, on a volume of its own if there is none yet."""
    volume, location, root = new
    if change.tree.volumes:
        volume = change.tree.volumes[0]
    else:
        change.put("volume", (volume, "uuid:1", "disk"))
    change.put("location", (location, volume, f"place{at}", b"/place%d" % at, "shallow"))
    change.put("entry", (root, location, None, b"place%d" % at, "directory", 0))


def grown(change: Change, new: bytes, numbers: tuple[int, ...]) -> None:
    """Do one thing to a tree: add, edit, move, rename or delete, as the numbers say."""
    what, which, where, value = numbers
    folders, entries = change.tree.folders(), list(change.tree.entries.values())
    if not folders:
        return
    folder, entry = folders[where % len(folders)], entries[which % len(entries)]
    kind = what % 10
    if kind < 4 and len(entries) < MOST_ENTRIES:
        made = "directory" if value % 3 == 0 else "file"
        change.put("entry", (new, folder.location, folder.uuid, b"e%d" % value, made, value))
    elif kind < 6:
        change.put("entry", tuple(entry._replace(size=value, name=b"e%d" % which)))
    elif kind < 8:
        inside = folder.uuid in change.tree.below(entry.uuid)
        if entry.parent is not None and not inside:
            _move(change, entry, folder)
    else:
        doomed = change.tree.below(entry.uuid)
        if entry.parent is None and what % 20 != 9:
            return
        for uuid in doomed[:20] if entry.parent is not None else doomed:
            change.drop("entry", uuid)
        if entry.parent is None:
            change.drop("location", entry.location)


def emptied(change: Change, number: int) -> None:
    """Move all that is in a directory out of it, delete it, and edit what was in it.

    So what is there now of the children has later revs than the tombstone of their old parent.
    """
    entries = change.tree.entries
    inside: dict[bytes, list[Entry]] = {}
    for entry in entries.values():
        if entry.parent is not None and entries[entry.parent].parent is not None:
            inside.setdefault(entry.parent, []).append(entry)
    if not inside:
        return
    folder, children = list(inside.items())[number % len(inside)]
    moved = [entry._replace(parent=entries[folder].parent) for entry in children]
    for entry in moved:
        change.put("entry", tuple(entry))
    change.drop("entry", folder)
    for entry in moved:
        change.put("entry", tuple(entry._replace(size=number)))


def filled(change: Change, new: Sequence[bytes], number: int) -> None:
    """Add a directory with files in it to a tree."""
    folder, *files = new
    home = next((entry for entry in change.tree.folders() if entry.parent is None), None)
    if home is None or len(change.tree.entries) >= MOST_ENTRIES:
        return
    row = (folder, home.location, home.uuid, b"d%d" % number, "directory", 0)
    change.put("entry", row)
    for at, file in enumerate(files):
        change.put("entry", (file, home.location, folder, b"f%d" % at, "file", number))


def worked(change: Change, new: bytes, number: int) -> None:
    """Begin a job, go on with one, or drop one."""
    jobs = sorted(change.tree.jobs)
    if jobs and number % 4 == 0:
        change.drop("job", jobs[number % len(jobs)])
        return
    uuid = jobs[number % len(jobs)] if jobs and number % 4 == 1 else new
    change.put("job", (uuid, f"s{number % 3}", number))


def _move(change: Change, entry: Entry, folder: Entry) -> None:
    """Put an entry below another directory; across locations all below it goes along."""
    change.put("entry", tuple(entry._replace(parent=folder.uuid, location=folder.location)))
    if entry.location != folder.location:
        for uuid in reversed(change.tree.below(entry.uuid)[:-1]):
            row = change.tree.entries[uuid]
            change.put("entry", tuple(row._replace(location=folder.location)))
