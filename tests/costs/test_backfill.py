"""What a row costs an empty peer: bytes on the wire, statements, bytes written, memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest
import zstandard

from leaderless.protocol import codec
from leaderless.protocol.batches import InColumns, in_columns
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.store.bare import BareConnection
from leaderless.store.relayed import Brought, merge
from scripts.benchmarks.filling import fill
from tests.replicas import Replica
from tests.store.passing import batches, held, said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leaderless.protocol.messages import StateBatch

ROWS = 6_000
WIRE = 1.12
"""Bytes of a batch, of those that its columns take compressed."""
IN_COLUMNS = 0.82
"""The same, of rows as columns."""
IN_COLUMNS_BYTES = 24
"""For each entry."""
WRITTEN = 400
"""Bytes for each row that an apply writes, in a library of this size."""
STATEMENTS = 24
"""For a batch of any size, with its transaction."""
ROW_BYTES = 1_000
"""Of memory for each row of a batch, while that is decoded and applied."""


@pytest.fixture
def source(replicas: list[Replica]) -> Replica:
    """Return a replica with a tree of files."""
    fill(replicas[0].store, random.Random(1), ROWS, hashed=False)
    return replicas[0]


def _take(target: Replica, batch: StateBatch, sender: Replica) -> None:
    """Apply a batch as it is when it comes from its owner."""
    registry, device = target.store.registry, sender.identity.device
    target.store.write_here(
        lambda tx: merge(tx.conn, registry, Brought(batch, device, said(batch)), makes_way=False)
    )
    assert held(target, sender).watermark == batch.hi


def _columns_bytes(stream: Sequence[StateBatch]) -> int:
    """Return what the columns of entries take, packed and compressed batch by batch."""
    compressor = zstandard.ZstdCompressor(level=3)
    total = 0
    for batch in stream:
        rows = [row for change in batch.changes if change.model == "entry" for row in change.rows]
        packed = msgpack.packb([list(column) for column in zip(*rows, strict=True)])
        total += len(compressor.compress(packed))
    return total


def _packed(batch: StateBatch) -> InColumns:
    packed = in_columns(batch)
    assert packed is not None
    return packed


def test_an_entry_takes_hardly_more_on_the_wire_than_its_columns(source: Replica) -> None:
    """Whatever is around the rows is little, and does not keep them from being compressed."""
    stream = list(batches(source, source))
    sent = sum(len(codec.encode(batch)) for batch in stream)
    assert sent <= WIRE * _columns_bytes(stream)


def test_an_entry_as_columns_takes_less_on_the_wire_than_these_compressed(source: Replica) -> None:
    """As neighbours have much in common that no compression sees."""
    stream = list(batches(source, source))
    sent = sum(len(codec.encode(_packed(batch))) for batch in stream)
    assert sent <= IN_COLUMNS * _columns_bytes(stream)
    assert sent <= IN_COLUMNS_BYTES * ROWS


def test_a_batch_takes_as_many_statements_however_many_rows_it_has(
    replicas: list[Replica], source: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of neighbouring ids, as a device gives them out, are looked for with one look."""
    execute, counts = BareConnection.exec_driver_sql, [0]

    def counted(self: BareConnection, *arguments: object, **named: object) -> object:
        counts[-1] += 1
        return execute(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(BareConnection, "exec_driver_sql", counted)
    stream = [
        next(batches(source, source, limit=400)),
        next(batches(source, source, 400, limit=100)),
        next(batches(source, source, 500, limit=500)),
        next(batches(source, source, 1_000, limit=2_000)),
    ]
    for batch in stream:
        counts.append(0)
        _take(replicas[1], batch, source)
    _, _, few, some, many = counts
    assert few == some
    assert many == some
    assert max(counts[2:]) <= STATEMENTS


def _written() -> int:
    """Return the bytes that this process has written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def test_an_apply_writes_what_its_pages_take_in_the_log_and_in_the_file(
    replicas: list[Replica], source: Replica
) -> None:
    """Nothing is kept once more on the disk while the transaction is open, but for what is proved."""
    first, *stream = batches(source, source)
    _take(replicas[1], first, source)
    before = _written()
    for batch in stream:
        _take(replicas[1], batch, source)
    assert (_written() - before) / (ROWS - BATCH_ROWS) <= WRITTEN


@pytest.mark.parametrize("form", [lambda batch: batch, _packed], ids=["rows", "columns"])
def test_a_batch_takes_so_much_memory_and_no_more(
    replicas: list[Replica], source: Replica, form: Callable[[StateBatch], StateBatch | InColumns]
) -> None:
    """While it is decoded, checked, hashed and applied."""
    frame = codec.encode(form(next(batches(source, source))))
    tracemalloc.start()
    try:
        batch = codec.decode(frame)
        rows = sum(len(change.rows) for change in batch.changes)  # type: ignore[union-attr]
        _take(replicas[1], batch, source)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / rows <= ROW_BYTES
