"""Ids that every device derives alike, so that what means the same is one record.

UUIDv5 (RFC 9562): SHA-1 over a namespace and a name. A name is the kind of thing and the parts that
identify it, each behind its length, so that no two lists of parts give one name.
"""

from __future__ import annotations

import hashlib
from typing import Final

from registry.changes import RecordId

NAMESPACE: Final = bytes.fromhex("6f4f0d3a8f2c5e5b9c0e7d1a2b3c4d5e")


def derived_id(kind: str, *parts: bytes) -> RecordId:
    """Return the id of the one `kind` of thing that `parts` identify."""
    name = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *parts))
    digest = bytearray(hashlib.sha1(NAMESPACE + name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return RecordId(bytes(digest))


def link_id(relation: str, item: bytes, group: bytes) -> RecordId:
    """Return the id of the link of a relation between an item and a group."""
    return derived_id(relation, item, group)
