"""Rows of a tree of files as a home folder has them: depth, names, sizes; made from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

PER_DIRECTORY: Final = 12
"""Names in a directory, other directories among them: what home folders have on average."""
WORDS: Final = ("report", "IMG", "invoice", "draft", "notes", "Übersicht", "track", "main", "data")
EXTENSIONS: Final = ("jpg", "pdf", "txt", "py", "mp3", "docx", None)


def tree(
    chance: random.Random,
    new: Callable[[], bytes],
    location: bytes,
    count: int,
    *,
    hashed: bool = True,
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of so many entries of a location, parents first, as the indexer has them.

    Each directory is in one that was made before, whichever: the deeper ones of a million are some 25
    below the root, most 12. Files have a hash of their content if they are `hashed`.
    """
    root = new()
    directories = [root]
    yield _row(chance, (root, location, None, b"home", None), None, None)
    for at in range(1, count):
        uuid, parent = new(), chance.choice(directories)
        stem = f"{chance.choice(WORDS)} {at}"
        if chance.randrange(PER_DIRECTORY) == 0:
            directories.append(uuid)
            yield _row(chance, (uuid, location, parent, stem.encode(), None), None, None)
            continue
        extension = chance.choice(EXTENSIONS)
        name = stem if extension is None else f"{stem}.{extension}"
        size = int(chance.lognormvariate(10, 2.5))
        content = chance.randbytes(32) if hashed else None
        yield _row(chance, (uuid, location, parent, name.encode(), extension), size, content)


def _row(
    chance: random.Random,
    named: tuple[bytes, bytes, bytes | None, bytes, str | None],
    size: int | None,
    content: bytes | None,
) -> tuple[Any, ...]:
    """Return the row of a file, or of a directory (without a size)."""
    is_file = size is not None
    changed_ns = 1_700_000_000_000_000_000 + chance.randrange(10**17)
    about = ("file", size) if is_file else ("directory", None)
    stat = (changed_ns, changed_ns, chance.randrange(1 << 40), 0o644 if is_file else 0o755)
    return (*named, *about, *stat, 0, content, None)
