"""Devices of one library whose stores are real, and what two of them must agree about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from leaderless.catalogue.export import export_lines
from leaderless.protocol.packing import unpack_each
from leaderless.protocol.records import decode_ref
from leaderless.store import log, meta, shelf, staging
from leaderless.store.registers import Records
from registry.changes import Edit, WriteRef
from registry.state import RecordState
from tests.merge.oracle import Loss, Told
from tests.replicas import START_MS, Replica, make_replicas, query_file
from tests.store.passing import log_of, store_commits, within

SHARED = (
    "content",
    "tag",
    "tag_relation",
    "album",
    "album_entry",
    "user_metadata",
    "user_metadata_tag",
)


class Agreed(NamedTuple):
    """What devices that hold the same commits hold alike."""

    export: list[bytes]
    journal: frozenset[Loss]
    tables: dict[str, dict[bytes, dict[str, Any]]]
    set_hash: bytes
    states: list[tuple[Any, ...]]


def edit(device: Replica, *edits: Edit, after_ms: int = 1) -> None:
    """Let a device do something, as one commit, some time after what it did before."""
    device.clock.ms += after_ms
    device.store.write_here(lambda tx: tx.commit("merge.test", edits))


def state_of(device: Replica, model: str, record: bytes) -> RecordState:
    """Return the state of a record at a device."""
    return within(device, lambda conn: Records(conn, device.store.registry, 0).state(model, record))


def feeds(device: Replica) -> dict[bytes, int]:
    """Return how much a device holds of every feed."""
    return {item.feed: item.received for item in within(device, log.feeds)}


def hand(
    source: Replica, target: Replica, feed: bytes, after: int = 0, most: int = 1 << 30
) -> None:
    """Hand commits of a feed from one device to another, whether it has them or not."""
    store_commits(target, *log_of(source, feed, after)[:most])


def receive_all(source: Replica, target: Replica) -> None:
    """Let a device store the commits of another, none of which takes effect yet."""
    held = feeds(target)
    for feed in feeds(source):
        for item in log_of(source, feed, held.get(feed, 0)):
            assert within(target, lambda conn, item=item: log.receive(conn, item, 0))


def take_state(device: Replica) -> None:
    """Let what is staged take effect, and then the log."""

    def write(conn: Connection) -> None:
        assert staging.is_whole(conn)
        staging.take(conn, device.store.registry, device.clock.ms)
        log.apply_ready(conn, device.store.registry, device.clock.ms)

    within(device, write)


def key_in(packed: bytes) -> tuple[str, bytes]:
    """Return the record that a message holds."""
    model, uuid, *_ = next(unpack_each(packed, 1 << 18, 1 << 18, unset=True))
    return model, uuid


def meet(*devices: Replica) -> None:
    """Let every device hear from every other all that it lacks."""
    for source in devices:
        for target in devices:
            if target is not source:
                held = feeds(target)
                for feed in sorted(feeds(source), reverse=True):
                    hand(source, target, feed, held.get(feed, 0))
    assert all(within(device, shelf.waiting) == [] for device in devices)


def journal(device: Replica) -> frozenset[Loss]:
    """Return the journal of a device without its own numbers and times."""
    rows = query_file(
        device.store.path, "SELECT model, record, field, subkey, value, loser FROM journal"
    )
    return frozenset(
        Loss(model, record, field, subkey or None, value, decode_ref(loser))
        for model, record, field, subkey, value, loser in rows
    )


def agreed(device: Replica) -> Agreed:
    """Return all that must be equal at devices that hold the same commits."""
    registry = device.store.registry
    lines = within(device, lambda conn: b"".join(export_lines(conn, registry)).splitlines())
    tables = {name: _rows(device, name) for name in SHARED}
    set_hash = within(device, lambda conn: meta.get(conn, meta.SHARED_HASH))
    owned = tuple(b'"model":"%b"' % model.sync_name.encode() for model in registry.owned())
    shared = [line for line in lines if not any(mark in line for mark in owned)]
    states = query_file(
        device.store.path,
        "SELECT model, uuid, state, deaths, remains, locked_by FROM record ORDER BY model, uuid",
    )
    return Agreed(shared, journal(device), tables, set_hash, states)


def _rows(device: Replica, table: str) -> dict[bytes, dict[str, Any]]:
    """Return what a table shows, by record and column, without how it came about."""
    with closing(sqlite3.connect(device.store.path)) as connection:
        found = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - one of SHARED
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found]
    left_out = {"uuid", "written", "extra"}
    return {
        row["uuid"]: {name: value for name, value in row.items() if name not in left_out}
        for row in rows
    }


def told(device: Replica) -> list[Told]:
    """Return every change that a device holds."""
    return [
        Told(change, WriteRef(item.header.stamp, item.header.feed, item.header.seq, place))
        for feed in feeds(device)
        for item in log_of(device, feed)
        for place, change in enumerate(item.changes)
    ]


class Library:
    """Devices that can be taken back to where they knew nothing; made once for many examples."""

    def __init__(self, devices: Sequence[Replica]) -> None:
        # Stamps of one moment are ordered by this tag: examples mean the same in every run.
        self.devices = sorted(devices, key=lambda device: device.identity.device[-6:])
        self._empty: list[sqlite3.Connection] = []
        for device in self.devices:
            with device.store._writer.begin() as connection:
                connection.exec_driver_sql("SELECT 1")
            connection_of(device).execute("PRAGMA synchronous = OFF")
            empty = sqlite3.connect(":memory:")
            connection_of(device).backup(empty)
            self._empty.append(empty)

    def forget(self) -> list[Replica]:
        """Return the devices as they were made."""
        for device, empty in zip(self.devices, self._empty, strict=True):
            empty.backup(connection_of(device))
            device.clock.ms = START_MS
        return self.devices

    def close(self) -> None:
        """Close every store."""
        for device, empty in zip(self.devices, self._empty, strict=True):
            empty.close()
            device.store.close()


def connection_of(device: Replica) -> sqlite3.Connection:
    """Return the connection that writes."""
    with device.store._writer.connect() as connection:
        raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


@contextmanager
def open_library(folder: Path, count: int) -> Iterator[Library]:
    """Make the devices of a library in a folder."""
    with closing(Library(make_replicas(folder, count))) as library:
        yield library
