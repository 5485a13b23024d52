"""What the parts alone cost: SQLite, compression, TLS, without anything of ours around them.

Each floor runs in a process of its own, as what it is held against does; it is given files, and says
what it took. `python -m scripts.benchmarks.floors NAME ARGUMENT…` prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgpack
import zstandard

from entities import entry, location, volume
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.store.engine import migrate, reader_engine, writer_engine
from leaderless.store.state import add_incarnation
from registry.changes import Incarnation
from registry.rows import Epochs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection

    from entities._upsert import OwnedRows

_T = TypeVar("_T")
_MODELS: Final = (volume.ROWS, location.ROWS, entry.ROWS)
_ALL: Final = 1 << 62
_READ_BYTES: Final = 256 << 10


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of so many items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _epoch(connection: Connection) -> int:
    """Return the incarnation that holds most entries."""
    query = "SELECT epoch FROM entry GROUP BY epoch ORDER BY count(*) DESC LIMIT 1"
    return int(connection.exec_driver_sql(query).scalar_one())


def _rows(connection: Connection, of: OwnedRows, epoch: int) -> list[tuple[Any, ...]]:
    """Return what there is of a model, as its upsert takes it."""
    found = of.query_state(connection, epoch, -1, _ALL, _ALL)
    return [(*row[:2], 0, *row[2:], None) for row in found.rows]


def _upserts(source: Path) -> list[tuple[OwnedRows, list[tuple[Any, ...]]]]:
    engine = reader_engine(source)
    with engine.begin() as connection:
        epoch = _epoch(connection)
        found = [(of, _rows(connection, of, epoch)) for of in _MODELS]
    engine.dispose()
    return found


def upsert(source: str, target: str, size: str = str(BATCH_ROWS)) -> dict[str, float]:
    """Write the rows of a library into an empty file: the same upserts, pragmas and batches."""
    models = _upserts(Path(source))
    engine = writer_engine(Path(target))
    migrate(engine, Path(target))
    with engine.begin() as connection:
        epoch = add_incarnation(connection, bytes(16), Incarnation(1, bytes(8)))
    raw: Any = engine.raw_connection().driver_connection
    epochs = Epochs(epoch, frozenset([epoch]))
    began, count = time.perf_counter(), 0
    for of, rows in models:
        text = of.upsert_text(epochs)
        for batch in batched(rows, int(size)):
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(text, batch)
            raw.execute("COMMIT")
            count += len(batch)
    took = time.perf_counter() - began
    engine.dispose()
    return {"rows": count, "seconds": took}


def compress(source: str) -> dict[str, float]:
    """Compress the columns of entries in batches of the same size; how many bytes a row takes.

    The columns as they travel: packed, each by itself, with zstd of the level that the wire has.
    """
    ((_, rows),) = [found for found in _upserts(Path(source)) if found[0] is entry.ROWS]
    compressor = zstandard.ZstdCompressor(level=3)
    total = 0
    for batch in batched(rows, BATCH_ROWS):
        columns = [list(column) for column in zip(*batch, strict=True)]
        total += len(compressor.compress(msgpack.packb(columns)))
    return {"rows": len(rows), "bytes": total}


def _plain(target: str, table: str) -> sqlite3.Connection:
    """Return a new file with one table, as durable as ours."""
    database = sqlite3.connect(target, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"CREATE TABLE {table}")
    return database


def commit(target: str, count: str) -> dict[str, float]:
    """Write one row at a time, each durable; the seconds that one takes, in the middle."""
    database = _plain(target, "edit (id INTEGER PRIMARY KEY, value TEXT)")
    taken = []
    for at in range(int(count)):
        began = time.perf_counter()
        database.execute("INSERT INTO edit (value) VALUES (?)", (str(at),))
        taken.append(time.perf_counter() - began)
    database.close()
    return {"each_s": median(taken)}


def changes(target: str, count: str) -> dict[str, float]:
    """Write changes of records as plain rows, in batches of the same size."""
    table = "change (id INTEGER PRIMARY KEY, record BLOB, field TEXT, value TEXT, stamp BLOB)"
    rows = [(at.to_bytes(16), "description", str(at), bytes(28)) for at in range(int(count))]
    query = "INSERT INTO change (record, field, value, stamp) VALUES (?, ?, ?, ?)"
    return _written(_plain(target, table), query, rows, BATCH_ROWS)


def links(target: str, count: str) -> dict[str, float]:
    """Write the link rows of a command as plain rows with their index, in one transaction."""
    table = "link (uuid BLOB PRIMARY KEY, item BLOB, tag BLOB, scope TEXT) WITHOUT ROWID"
    rows = [(hashed(at), hashed(-at), bytes(16), "entry") for at in range(1, int(count) + 1)]
    query = "INSERT INTO link (uuid, item, tag, scope) VALUES (?, ?, ?, ?)"
    return _written(_plain(target, table), query, rows, len(rows))


def hashed(number: int) -> bytes:
    """Return an id that is as much in order as those of links are: not at all."""
    return sha256(number.to_bytes(8, signed=True)).digest()[:16]


def _written(
    database: sqlite3.Connection, query: str, rows: list[tuple[Any, ...]], size: int
) -> dict[str, float]:
    began = time.perf_counter()
    for batch in batched(rows, size):
        database.execute("BEGIN IMMEDIATE")
        database.executemany(query, batch)
        database.execute("COMMIT")
    took = time.perf_counter() - began
    database.close()
    return {"rows": len(rows), "seconds": took}


def walk(root: str) -> dict[str, float]:
    """Walk a tree with nothing but scandir and lstat."""
    began, count, waiting = time.perf_counter(), 1, [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry_ in entries:
                entry_.stat(follow_symlinks=False)
                count += 1
                if entry_.is_dir(follow_symlinks=False):
                    waiting.append(entry_.path)
    return {"rows": count, "seconds": time.perf_counter() - began}


def read(root: str) -> dict[str, float]:
    """Read every file below a folder from its first byte to its last."""
    began, total = time.perf_counter(), 0
    buffer = memoryview(bytearray(_READ_BYTES))
    for _, _, names, folder in os.fwalk(root):
        for name in names:
            handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
            while count := os.readv(handle, [buffer]):
                total += count
            os.close(handle)
    return {"bytes": total, "seconds": time.perf_counter() - began}


FLOORS: Final[dict[str, Callable[..., dict[str, float]]]] = {
    "upsert": upsert,
    "compress": compress,
    "commit": commit,
    "changes": changes,
    "links": links,
    "walk": walk,
    "read": read,
}


def floor(name: str, *arguments: object) -> dict[str, float]:
    """Run a floor in a process of its own; return what it says."""
    command = [sys.executable, "-m", "scripts.benchmarks.floors", name, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    print(json.dumps(FLOORS[sys.argv[1]](*sys.argv[2:])))
