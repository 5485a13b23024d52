"""What every device of a process computes from the same bytes is computed once.

A commit is checked and read by each of them, and most frames go to several; on machines of their own
they share the time that takes. Nobody changes a message, or what is in it.
Pure functions of bytes alone belong here: what depends on a device, its disk or its clock never does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from leaderless.protocol import codec, commits
from leaderless.store import registers
from leaderless.sync import apply, signed

if TYPE_CHECKING:
    from registry.changes import CommitHeader, CommitKind, SharedChange

_decode_body = commits.decode_body
_PURE = (
    (apply, "verify"),
    (signed, "verify"),
    (codec, "decode_sized"),
    (codec, "compress"),
    (commits, "decode_header"),
    (registers, "decode_state"),
)
_MOST = 4096
"""Results of each that are kept: more than are under way at a time."""


@dataclass(frozen=True)
class _Body:
    """A body with all that is asked of its header when it is read."""

    said: bytes
    length: int
    hashed: bytes
    kind: CommitKind
    feed: bytes
    seq: int
    header: CommitHeader = field(compare=False)


@lru_cache(_MOST)
def _changes(body: _Body) -> tuple[SharedChange, ...]:
    return _decode_body(body.header, body.said)


def _decode_body_once(header: CommitHeader, body: bytes) -> tuple[SharedChange, ...]:
    about = header.body_bytes, header.body_hash, header.kind, header.feed, header.seq
    return _changes(_Body(body, *about, header))


def share() -> None:
    """Have the devices of this process share the work; done once, before any of them runs."""
    for module, name in _PURE:
        right = getattr(module, name)
        if not hasattr(right, "cache_info"):
            setattr(module, name, lru_cache(_MOST)(right))
    commits.decode_body = _decode_body_once
