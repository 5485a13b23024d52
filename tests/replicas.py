"""Replicas for tests: real stores in real files, with clocks that the test moves."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import trio
import trio.testing

from entities import MODELS
from leaderless.identity import Identity, certificate_key, load_or_create
from leaderless.ids import RecordIds
from leaderless.protocol.membership import (
    NO_LIBRARY,
    Role,
    Signed,
    Statement,
    StatementKind,
    library_of,
    signed_part,
)
from leaderless.store.store import Runner, Store, create_store, in_thread
from registry.changes import Incarnation
from registry.models import Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from leaderless.store.transaction import Transaction

_T = TypeVar("_T")
START_MS = 1_800_000_000_000
DEVICE_COLUMNS = [
    "uuid",
    "name",
    "os",
    "os_version",
    "hardware_model",
    "form_factor",
    "cpu_model",
    "cpu_cores",
    "memory_total_bytes",
    "software_version",
    "addresses",
]
VOLUME_COLUMNS = [
    "uuid",
    "fingerprint",
    "display_name",
    "file_system",
    "mount_point",
    "volume_type",
    "device_model",
    "total_bytes",
    "available_bytes",
    "is_removable",
    "is_network",
]
LOCATION_COLUMNS = [
    "uuid",
    "volume",
    "name",
    "path",
    "index_mode",
    "total_file_count",
    "total_byte_size",
    "is_offline",
]
ENTRY_COLUMNS = [
    "uuid",
    "location",
    "parent",
    "name",
    "extension",
    "kind",
    "size_bytes",
    "mtime_ns",
    "ctime_ns",
    "inode",
    "mode",
    "is_hidden",
    "content",
    "quick_hash",
]


@dataclass
class SteppedClock:
    """A clock that stands still until the test moves it."""

    ms: int = START_MS
    seconds: float = 0.0

    def wall_ns(self) -> int:
        """Return the wall clock the test set."""
        return self.ms * 1_000_000

    def monotonic(self) -> float:
        """Return the seconds the test set."""
        return self.seconds

    def boottime(self) -> float:
        """Return the seconds the test set."""
        return self.seconds


async def beside(work: Callable[[], _T], /, *, limiter: trio.CapacityLimiter | None = None) -> _T:
    """Have a thread do what blocks; where time is virtual it takes none, however busy we are."""
    if limiter is None or not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        return await in_thread(work, limiter=limiter)
    async with limiter:
        return work()


@dataclass
class Replica:
    """One device of a test: its identity, clock and open store."""

    identity: Identity
    clock: SteppedClock
    store: Store


def statement(author: Identity, subject: Identity, library: bytes, name: str) -> Signed:
    """Return a signed genesis (no library given) or add statement."""
    genesis = library == NO_LIBRARY
    body = Statement(
        library,
        StatementKind.GENESIS if genesis else StatementKind.ADD,
        subject.certificate_der,
        Role.ADMIN,
        name,
        author.public_key,
        (),
        START_MS,
        b"nonce",
    ).encode()
    return Signed(body, author.sign(signed_part(body)))


def make_replicas(folder: Path, count: int) -> list[Replica]:
    """Return stores of `count` devices that are members of one library."""
    identities = [load_or_create(folder / f"key{at}") for at in range(count)]
    genesis = statement(identities[0], identities[0], NO_LIBRARY, "home")
    library = library_of(genesis)
    said = [genesis]
    said += [
        statement(identities[0], other, library, f"device{at}")
        for at, other in enumerate(identities[1:], start=1)
    ]
    replicas = []
    for at, identity in enumerate(identities):
        clock = SteppedClock()
        path = folder / f"library{at}.db"
        incarnation = Incarnation(1, bytes([at + 1]) * 8)
        create_store(path, clock, identity.device, incarnation, library, tuple(said))
        store = Store(path, Registry(MODELS), clock, RecordIds(clock), identity.sign, run=beside)
        store.load()
        replicas.append(Replica(identity, clock, store))
        add_device_row(replicas[-1], f"device{at}")
    return replicas


def open_replica(
    folder: Path, at: int, ms: int = START_MS, file: str | None = None, run: Runner = beside
) -> Replica:
    """Return the device number `at` as its file is now, or as another file says that it was."""
    identity, clock = load_or_create(folder / f"key{at}"), SteppedClock(ms)
    path = folder / (file or f"library{at}.db")
    store = Store(path, Registry(MODELS), clock, RecordIds(clock), identity.sign, run=run)
    store.load()
    return Replica(identity, clock, store)


def add_device_row(replica: Replica, name: str) -> None:
    """Give a replica the row that says who it is."""
    row = (replica.identity.device, name, *[None] * (len(DEVICE_COLUMNS) - 2))
    replica.store.write_here(lambda tx: tx.put("device", DEVICE_COLUMNS, [row]))


def add_tree(replica: Replica, files: int, name: str = "docs") -> tuple[bytes, bytes]:
    """Give a replica a location with one root directory of `files` files: (location, root)."""
    new = replica.store.ids.new
    volume, location, root = new(), new(), new()

    def entry(uuid: bytes, parent: bytes | None, called: bytes, kind: str) -> tuple[object, ...]:
        return (uuid, location, parent, called, None, kind, 1, 2, 3, 4, 5, 0, None, None)

    def write(tx: Transaction) -> None:
        tx.put("volume", VOLUME_COLUMNS, [(volume, "uuid:1", "disk", *[None] * 8)])
        tx.put(
            "location",
            LOCATION_COLUMNS,
            [(location, volume, name, b"/" + name.encode(), "shallow", *[None] * 3)],
        )
        tx.put("entry", ENTRY_COLUMNS, [entry(root, None, name.encode(), "directory")])
        tx.put(
            "entry",
            ENTRY_COLUMNS,
            [entry(new(), root, b"file%d" % at, "file") for at in range(files)],
        )

    replica.store.write_here(write)
    return location, root


def key_of(certificate: bytes) -> bytes:
    """Return the public key in a certificate."""
    return certificate_key(certificate)


def query_file(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds in a database, on a connection of its own."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()
