"""What changed in a directory: pure, by names and inodes.

Who is who:

- The same name and kind is the same entry: an editor that replaces a file keeps its identity.
- A directory at a known name with another inode may be a different one that was moved there: if its
  inode is known elsewhere it is that one, otherwise it was made anew and keeps the name's identity.
- A new name whose inode is known elsewhere in the location is that entry, moved, if it is gone from
  its old place and is what it was: for files size and mtime are equal (an inode is reused soon after
  a delete), for directories mtime is equal or a child is shared. Still at its old place: a hard link.
- A name that is gone is a candidate for deletion; the pass decides at its end, for it may turn up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from leaderless.indexer.scanner import Observed


_LOOK: Final = 7
"""So many values say how an entry looks: its name first, its mode last."""


class Known(NamedTuple):
    """An entry as it is in the database."""

    key: int
    uuid: bytes
    parent: int | None
    name: bytes
    kind: str
    size_bytes: int | None
    mtime_ns: int | None
    ctime_ns: int | None
    inode: int | None
    mode: int | None
    content: bytes | None
    quick_hash: bytes | None


class Appeared(NamedTuple):
    """A name that is not known here; `fallback` is what stood at it, of the same kind."""

    observed: Observed
    fallback: Known | None


class Compared(NamedTuple):
    """A directory held against what is known of it."""

    same: list[tuple[Known, Observed]]
    changed: list[tuple[Known, Observed]]
    appeared: list[Appeared]
    missing: list[Known]


def is_same(known: Known, observed: Observed) -> bool:
    """Return whether nothing of an entry has changed."""
    return known[5:10] == observed[2:7]


def is_all_same(looks: Collection[tuple[Any, ...]], observed: Collection[Observed]) -> bool:
    """Return whether everything in a directory looks as it did, and nothing else is in it.

    Looks begin as observations do. This is quick, and so in most directories of most passes; what
    changed in the others says `compare`.
    """
    if len(looks) != len(observed):
        return False
    return {item[:_LOOK] for item in looks} == {item[:_LOOK] for item in observed}


def keeps_content(known: Known, observed: Observed) -> bool:
    """Return whether hashes of a file still hold (a rename alone changes ctime)."""
    before = (known.size_bytes, known.mtime_ns, known.inode)
    return before == (observed.size_bytes, observed.mtime_ns, observed.inode)


def compare(known: Collection[Known], observed: Iterable[Observed]) -> Compared:
    """Return what stayed, changed, appeared and went in one directory."""
    if not known:
        return Compared([], [], [Appeared(item, None) for item in observed], [])
    # After a restore a file and a directory may be known by one name: one of them is gone.
    missing = {(entry.name, entry.kind): entry for entry in known}
    result = Compared([], [], [], [])
    for item in observed:
        held = missing.pop((item.name, item.kind), None)
        if held is None:
            result.appeared.append(Appeared(item, None))
            continue
        if is_same(held, item):
            result.same.append((held, item))
        elif held.kind == "directory" and held.inode != item.inode:
            result.appeared.append(Appeared(item, held))
        else:
            result.changed.append((held, item))
    result.missing.extend(missing.values())
    return result


def may_be_moved(
    candidate: Known, observed: Observed, children: Mapping[int, set[bytes]], inside: set[bytes]
) -> bool:
    """Return whether a known entry of the same inode is what appeared here.

    `children` are the known names in candidate directories, `inside` the names in the directory
    that appeared. Whether the candidate is gone from its old place is the caller's to see.
    """
    if candidate.kind != observed.kind:
        return False
    if candidate.kind == "directory":
        shared = bool(children.get(candidate.key, set()) & inside)
        return candidate.mtime_ns == observed.mtime_ns or shared
    before = (candidate.size_bytes, candidate.mtime_ns)
    return before == (observed.size_bytes, observed.mtime_ns)


def needs_consent(drops: int, known: int, count: int, ratio: float) -> bool:
    """Return whether so many deletions at once ask first: over `count` and over `ratio` of all."""
    return drops > count and drops > ratio * known
