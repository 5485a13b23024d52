"""The BLAKE3 of whole files, for locations that want content."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from leaderless.indexer.differ import Known

_CHUNK_BYTES = 1 << 20


def hash_file(path: bytes, known: Known) -> bytes | None:
    """Return the BLAKE3 of a regular file, or None if it is not (any more) what is known of it.

    Never follows a link, never waits on a pipe; a file that changes while it is read has no hash.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not _matches(file.fileno(), known):
            return None
        hasher = blake3()
        try:
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
        except OSError:
            return None
        return hasher.digest() if _matches(file.fileno(), known) else None


def _matches(descriptor: int, known: Known) -> bool:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return False
    return (found.st_size, found.st_mtime_ns) == (known.size_bytes, known.mtime_ns)
