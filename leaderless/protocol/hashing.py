"""Hashes, and the additive hash of a set.

A set hash is the sum, modulo 2^2048, of a 2048-bit BLAKE3 output per element (AdHash: Bellare &
Micciancio 1997; sized as in Lewi et al. 2019). Adding and taking away are one addition each, in any
order, so both sides keep it in the transaction that changes the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
from blake3 import blake3

from registry.rows import Rows, StateRow, StateRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from registry.changes import StateChange


SET_HASH_BYTES = 256
EMPTY_SET = bytes(SET_HASH_BYTES)
_MODULUS = 1 << 8 * SET_HASH_BYTES


def digest(data: bytes) -> bytes:
    """Return the 32-byte BLAKE3 of `data`."""
    return blake3(data).digest()


def element(data: bytes) -> int:
    """Return what one element adds to a set hash."""
    return int.from_bytes(blake3(data).digest(length=SET_HASH_BYTES), "big")


def add(set_hash: bytes, delta: int) -> bytes:
    """Return `set_hash` with the sum of elements `delta` (may be negative) added."""
    total = (int.from_bytes(set_hash, "big") + delta) % _MODULUS
    return total.to_bytes(SET_HASH_BYTES, "big")


def row_bytes(model: str, row: StateRow) -> bytes:
    """Return the canonical bytes of an owned row: [model, uuid, rev, name, value, …].

    Fields stand in order of their names; absent and null ones are left out, so that a new column
    changes no hash.
    """
    parts: list[object] = [model, row.uuid, row.rev]
    for name in sorted(row.fields):
        parts.append(name)
        parts.append(row.fields[name])
    packed: bytes = msgpack.packb(parts, use_bin_type=True)
    return packed


def columns_bytes(
    model: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> Iterator[bytes]:
    """Yield the canonical bytes of rows (uuid, rev, value, …) whose values stand in columns.

    The same bytes as those of `row_bytes`, in 40 % of the time: names are sorted once for all rows.
    """
    order = sorted((name, at) for at, name in enumerate(columns, start=2))
    pack = msgpack.Packer(use_bin_type=True).pack
    for row in rows:
        parts: list[object] = [model, row[0], row[1]]
        for name, at in order:
            value = row[at]
            if value is not None:
                parts += (name, value)
        yield pack(parts)


def rows_sum(model: str, rows: Iterable[StateRow]) -> int:
    """Return the sum of the elements of owned rows."""
    if isinstance(rows, StateRows):
        if rows.total is not None:
            return rows.total
        return sum(map(element, columns_bytes(model, rows.columns, rows.values)))
    return sum(element(row_bytes(model, row)) for row in rows)


def reckon(change: StateChange) -> None:
    """Reckon what the rows of a change add to the set hash, ahead of their use."""
    if isinstance(change.rows, Rows):
        rows = columns_bytes(change.model, change.columns, change.rows)
        change.rows.total = sum(map(element, rows))
