"""Rows of a tree of files as a home folder has them: depth, names, sizes, times; made from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

PER_DIRECTORY: Final = 12
"""Names in a directory, other directories among them: what home folders have on average."""
WORDS: Final = ("report", "IMG", "invoice", "draft", "notes", "Übersicht", "track", "main", "data")
EXTENSIONS: Final = ("jpg", "pdf", "txt", "py", "mp3", "docx", None)
_SECOND: Final = 1_000_000_000
_SINCE_S: Final = 1_500_000_000
_YEARS_S: Final = 200_000_000
_DAY_S: Final = 86_400


_FILE: Final = -1
"""Of what is in a directory; a directory has a number."""


class _Directory(NamedTuple):
    """A directory, and when what is in it was made, in seconds."""

    number: int
    uuid: bytes
    made_s: int
    is_copied: bool
    """Whether it came from elsewhere: times of files are whole seconds then, and older."""


def tree(
    chance: random.Random,
    new: Callable[[], bytes],
    location: bytes,
    count: int,
    *,
    hashed: bool = True,
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of so many entries of a location as a first scan has them, with ids from `new`.

    All that is in a directory comes together, then what is in the last directory of it. Files have a
    hash of their content if they are `hashed`. Inodes are given out in order, as file systems do where
    files are made one after the other; of one directory the files are of some days, and half of the
    directories were unpacked or copied.
    """
    inside = _shape(chance, count)
    root = _Directory(0, new(), _SINCE_S, is_copied=False)
    at, inode, waiting = 1, 1 << 20, [root]
    yield _row((root.uuid, location, None, b"home", None), _times(chance, root), inode, None, None)
    while waiting:
        above = waiting.pop()
        for item in inside[above.number]:
            inode += 1 if chance.randrange(8) else chance.randrange(1, 1 << 12)
            when, stem, at = _times(chance, above), f"{chance.choice(WORDS)} {at}", at + 1
            if item == _FILE:
                extension = chance.choice(EXTENSIONS)
                name = stem if extension is None else f"{stem}.{extension}"
                content = chance.randbytes(32) if hashed else None
                named = (new(), location, above.uuid, name.encode(), extension)
                yield _row(named, when, inode, int(chance.lognormvariate(10, 2.5)), content)
            else:
                made_s, is_copied = _SINCE_S + chance.randrange(_YEARS_S), chance.randrange(2) == 0
                below = _Directory(item, new(), made_s, is_copied)
                waiting.append(below)
                named = (below.uuid, location, above.uuid, stem.encode(), None)
                yield _row(named, when, inode, None, None)


def _shape(chance: random.Random, count: int) -> list[list[int]]:
    """Return what is in each directory of a tree of so many entries, the first of which is the root.

    Each directory is in one that was made before, whichever: the deeper ones of a million are some 25
    below the root, most 12.
    """
    inside: list[list[int]] = [[]]
    for _ in range(count - 1):
        above = chance.choice(inside)
        if chance.randrange(PER_DIRECTORY) == 0:
            above.append(len(inside))
            inside.append([])
        else:
            above.append(_FILE)
    return inside


def _times(chance: random.Random, above: _Directory) -> tuple[int, int]:
    """Return (mtime, ctime) in nanoseconds of something in a directory."""
    made_s = above.made_s + chance.randrange(_DAY_S)
    if above.is_copied:
        # Copied at once, and changed where it came from, long before.
        copied_ns = (_SINCE_S + _YEARS_S + above.made_s % _YEARS_S) * _SECOND
        return made_s * _SECOND, copied_ns + chance.randrange(_SECOND)
    changed_ns = made_s * _SECOND + chance.randrange(_SECOND)
    return changed_ns, changed_ns


def _row(
    named: tuple[bytes, bytes, bytes | None, bytes, str | None],
    when: tuple[int, int],
    inode: int,
    size: int | None,
    content: bytes | None,
) -> tuple[Any, ...]:
    """Return the row of a file, or of a directory (without a size)."""
    is_file = size is not None
    about = ("file", size) if is_file else ("directory", None)
    return (*named, *about, *when, inode, 0o644 if is_file else 0o755, 0, content, None)
