"""What must hold, asked of the files themselves and judged by rules that the product does not share.

At every commit of a device: nothing takes effect before what it builds on. At every check: foreign
keys, watermarks that promise what is not there, deleted rows that are back, claims of being in sync
that are false. After a heal: all devices equal, and equal to what was acknowledged and to a naive
replay of all commits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack
from blake3 import blake3

from leaderless.catalogue.export import export_lines
from leaderless.protocol import commits
from leaderless.store import engine, log, meta
from leaderless.store.holdings import read_holdings
from registry.changes import WriteRef
from tests.merge.oracle import Told, replay
from tests.merge.world import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from leaderless.protocol.vectors import Holdings
    from registry.hlc import Clock
    from registry.models import Model
    from scripts.simulation.device import Device
    from scripts.simulation.trees import Tree
    from scripts.simulation.workload import Author


class ViolationError(Exception):
    """Something that must hold does not."""


def demand(holds: bool, what: str) -> None:  # noqa: FBT001 - reads like the sentence it is
    """Raise ViolationError unless it holds."""
    if not holds:
        raise ViolationError(what)


class Witness:
    """Reads the files of the devices, on connections of its own."""

    def __init__(self) -> None:
        self._engines: dict[int, tuple[str, Engine]] = {}
        self._seen: dict[int, dict[int, int]] = {}
        """Of each device and feed how many applied commits were looked at."""
        self._clocks: dict[int, Clock] = {}
        self._needs: dict[bytes, dict[bytes, int]] = {}
        """Of each commit how far its author had applied every feed when it was written."""

    def at(self, device: Device) -> Engine:
        """Return a read-only engine on the file of a device."""
        path = str(device.path)
        held = self._engines.get(device.index)
        if held is None or held[0] != path:
            if held is not None:
                held[1].dispose()
            held = (path, engine.reader_engine(device.path))
            self._engines[device.index] = held
        return held[1]

    def close(self) -> None:
        """Close all files."""
        for _, held in self._engines.values():
            held.dispose()

    # --- at every commit --------------------------------------------------------------------------

    def wrote(self, device: Device) -> None:
        """A transaction of a device is durable: what it applied builds on what is applied.

        What a commit builds on is what its author had applied, as was seen when it was written, and
        not what the commit says of it.
        """
        seen = self._seen.setdefault(device.index, {})
        with self.at(device).begin() as connection:
            feeds = log.feeds(connection)
            now = meta.clock(connection)
            before = self._clocks.get(device.index, now)
            demand(
                (now.ms, now.counter) >= (before.ms, before.counter),
                f"the clock of {device.name} ran back",
            )
            self._clocks[device.index] = now
            applied = {feed.feed: feed.applied for feed in feeds}
            for feed in feeds:
                after = seen.get(feed.key, 0)
                if feed.applied == after:
                    continue
                seen[feed.key] = feed.applied
                is_own = feed.feed.startswith(device.id)
                for hashed in _hashes(connection, feed.key, after, feed.applied):
                    if is_own:
                        self._needs[hashed] = {**applied, feed.feed: 0}
                    for needed, seq in self._needs.get(hashed, {}).items():
                        demand(
                            applied.get(needed, 0) >= seq,
                            f"{device.name} applied a commit before commit {seq} that it builds on",
                        )

    # --- at every check ---------------------------------------------------------------------------

    def check(self, devices: Sequence[Device], authors: Sequence[Author]) -> None:
        """Look at all devices as they are now, in the middle of whatever happens."""
        held: dict[bytes, tuple[Device, Holdings]] = {}
        for device in devices:
            with self.at(device).begin() as connection:
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                demand(not broken, f"{device.name} has rows that refer to nothing: {broken[:1]}")
                held[device.id] = (device, read_holdings(connection))
                self._no_ghosts(connection, device, authors)
        for device, ours in held.values():
            # What is durable and was not reported yet is in no claim: nobody was told of it.
            if device.up is None or device.up.driver.exchange.ours.vectors != ours.vectors:
                continue
            for peer in _proved(device):
                other, theirs = held[peer]
                _is_claimed_rightly(device, ours, other, theirs)
                # One who has heard more since (a device introduced itself) can say so only later.
                if theirs.state_digest() and ours.vectors_digest() == theirs.vectors_digest():
                    demand(
                        self.export(device) == self.export(other),
                        f"{_claim(device, other)}, which shows something else",
                    )

    @staticmethod
    def claims(devices: Sequence[Device]) -> None:
        """No device claims to be in sync with one that lacks something; asked after every step.

        What the other one holds is what its own session was told: never more than its file has.
        """
        running = {device.id: device for device in devices if device.up is not None}
        for device in running.values():
            for peer in _proved(device):
                other = running.get(peer)
                if other is not None and other.up is not None and device.up is not None:
                    ours, theirs = device.up.driver.exchange.ours, other.up.driver.exchange.ours
                    _is_claimed_rightly(device, ours, other, theirs)

    def _no_ghosts(self, connection: Connection, device: Device, authors: Sequence[Author]) -> None:
        """Rows up to a watermark are there; deleted ones are not."""
        marks = {
            owner: (epoch, mark)
            for epoch, owner, mark in connection.exec_driver_sql(
                "SELECT id, device, watermark FROM incarnation"
            )
        }
        for author in authors:
            epoch, mark = marks.get(author.device.id, (0, 0))
            rows = connection.exec_driver_sql(
                "SELECT uuid FROM entry WHERE epoch = ? AND dead = 0", (epoch,)
            ).scalars()
            trees = [author.tree, *([author.pending] if author.pending else [])]
            back = [
                uuid
                for uuid in rows
                if all(tree.gone.get(uuid, mark + 1) <= mark for tree in trees)
            ]
            demand(not back, f"{device.name} shows an entry that {author.device.name} had deleted")

    def tree_of(self, device: Device) -> tuple[int, dict[bytes, tuple[bytes | None, bytes, int]]]:
        """Return the rev of a device and its own entries, as its file has them."""
        with self.at(device).begin() as connection:
            epoch, rev = connection.exec_driver_sql(
                "SELECT id, watermark FROM incarnation WHERE device = ?", (device.id,)
            ).one()
            rows = connection.exec_driver_sql(
                "SELECT e.uuid, p.uuid, e.name, e.size_bytes FROM entry e"
                " LEFT JOIN entry p ON p.id = e.parent WHERE e.epoch = ? AND e.dead = 0",
                (epoch,),
            )
            return rev, {uuid: (parent, name, size) for uuid, parent, name, size in rows}

    def commits_of(self, device: Device, feed: bytes) -> dict[int, bytes]:
        """Return the hash of every commit of a feed that a device holds."""
        with self.at(device).begin() as connection:
            rows = connection.exec_driver_sql(
                "SELECT c.seq, c.hash FROM commit_log c JOIN feed f ON f.id = c.feed"
                " WHERE f.feed = ?",
                (feed,),
            )
            return {seq: hashed for seq, hashed in rows}

    def export(self, device: Device) -> list[bytes]:
        """Return every record that a device shows."""
        with self.at(device).begin() as connection:
            return b"".join(export_lines(connection, device.registry)).splitlines()

    # --- after a heal -----------------------------------------------------------------------------

    def settled(self, devices: Sequence[Device], authors: Sequence[Author]) -> tuple[int, int]:
        """All devices say that they are in sync: so they are; return (commits, rows)."""
        first, *others = devices
        export, held = self.export(first), self._holdings(first)
        for device in others:
            mine = set(self.export(device)) ^ set(export)
            shown = min(mine, default=b"").decode()
            demand(not mine, f"{device.name} and {first.name} show different records: {shown}")
            other = self._holdings(device)
            demand(other.shared_hash == held.shared_hash, f"shared hashes differ at {device.name}")
            demand(other.owned == held.owned, f"set hashes differ at {device.name}")
        for author in authors:
            self._is_acknowledged(author, export)
        for device in devices:
            self._is_hashed_right(device)
        return self._is_as_replayed(devices, authors), len(export)

    def _holdings(self, device: Device) -> Holdings:
        with self.at(device).begin() as connection:
            return read_holdings(connection)

    @staticmethod
    def _is_acknowledged(author: Author, export: list[bytes]) -> None:
        """The owned rows that all devices show are those that their owner was told are kept."""
        owner = author.device.id.hex()
        shown = set()
        for line in export:
            record = json.loads(line)
            if record["model"] == "entry" and record.get("owner") == owner:
                fields = record["fields"]
                shown.add(
                    (record["id"], fields.get("parent"), fields["name"], str(fields["size_bytes"]))
                )
        demand(author.pending is None, f"what {author.device.name} holds is not known")
        demand(
            shown == _rows(author.tree),
            f"the entries of {author.device.name} are not those that it acknowledged: "
            f"{sorted(map(str, shown ^ _rows(author.tree)))[:2]}",
        )

    def _is_hashed_right(self, device: Device) -> None:
        """The set hash of every owner is the sum over its rows, counted from the start."""
        with self.at(device).begin() as connection:
            kept = connection.exec_driver_sql("SELECT id, set_hash FROM incarnation").all()
            for epoch, set_hash in kept:
                total = sum(_sum_of(connection, model, epoch) for model in device.registry.owned())
                total += _opaque_sum(connection, epoch)
                demand(
                    set_hash == (total % (1 << 2048)).to_bytes(256, "big"),
                    f"a set hash at {device.name} is not that of the rows that are there",
                )
            shared = sum(
                _element(msgpack.packb([model, uuid]) + packed)
                for model, uuid, packed in connection.exec_driver_sql(
                    "SELECT model, uuid, state FROM record WHERE state IS NOT NULL"
                )
            )
            demand(
                meta.get(connection, meta.SHARED_HASH)
                == (shared % (1 << 2048)).to_bytes(256, "big"),
                f"the shared set hash at {device.name} is not that of its records",
            )

    def _is_as_replayed(self, devices: Sequence[Device], authors: Sequence[Author]) -> int:
        """Tables and journal are those of a naive replay; nothing acknowledged is missing."""
        told: list[Told] = []
        hashes: dict[bytes, dict[int, bytes]] = {}
        with self.at(devices[0]).begin() as connection:
            rows = connection.exec_driver_sql(
                "SELECT f.feed, c.seq, c.hash, c.header, c.body FROM commit_log c"
                " JOIN feed f ON f.id = c.feed ORDER BY c.feed, c.seq"
            ).all()
        for feed, seq, hashed, packed, body in rows:
            hashes.setdefault(feed, {})[seq] = hashed
            header = commits.decode_header(packed)
            for place, change in enumerate(commits.decode_body(header, body)):
                told.append(Told(change, WriteRef(header.stamp, feed, seq, place)))
        for author in authors:
            kept = hashes.get(author.feed, {})
            lost = [seq for seq, hashed in author.commits.items() if kept.get(seq) != hashed]
            demand(not lost, f"commits {lost[:3]} that {author.device.name} acknowledged are gone")
        wanted = tables(replay(told))
        for device in devices:
            for model in device.registry.shared():
                name = model.sync_name
                with self.at(device).begin() as connection:
                    shown = _table(connection, name)
                demand(
                    shown == wanted[name],
                    f"{device.name} shows in {name} what a replay of all commits does not",
                )
        return len(rows)


def _proved(device: Device) -> list[bytes]:
    """Return the devices with which a device claims to be in sync."""
    if device.up is None:
        return []
    driver = device.up.driver
    return [peer.device for peer in driver.exchange.peers.values() if driver.is_proved(peer)]


def _claim(device: Device, peer: Device) -> str:
    return f"{device.name} claims to be in sync with {peer.name}"


def _is_claimed_rightly(device: Device, ours: Holdings, peer: Device, theirs: Holdings) -> None:
    """What a device calls in sync with it holds all that it holds."""
    for owner, position in ours.vectors.owned.items():
        other = theirs.vectors.owned.get(owner)
        less = bool(position.watermark) and (other is None or other.behind(position))
        demand(not less, f"{_claim(device, peer)}, which lacks rows")
    for feed, reached in ours.vectors.feeds.items():
        there = theirs.vectors.feeds.get(feed)
        lacks = bool(reached.applied) and (there is None or there.applied < reached.applied)
        demand(not lacks, f"{_claim(device, peer)}, which lacks commits")


def _hashes(connection: Connection, feed: int, after: int, last: int) -> Sequence[bytes]:
    """Return the hashes of some commits of a feed."""
    return (
        connection.exec_driver_sql(
            "SELECT hash FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?",
            (feed, after, last),
        )
        .scalars()
        .all()
    )


def _rows(tree: Tree) -> set[tuple[Any, ...]]:
    return {
        (
            entry.uuid.hex(),
            None if entry.parent is None else entry.parent.hex(),
            entry.name.decode(),
            str(entry.size),
        )
        for entry in tree.entries.values()
    }


def _table(connection: Connection, name: str) -> dict[bytes, dict[str, Any]]:
    found = connection.exec_driver_sql(f"SELECT * FROM {name}")  # noqa: S608 - of a model
    names = list(found.keys())
    rows = [dict(zip(names, row, strict=True)) for row in found]
    left_out = {"uuid", "written", "extra"}
    return {
        row["uuid"]: {key: value for key, value in row.items() if key not in left_out}
        for row in rows
    }


# --- hashes, by the text of PROTOCOL.md -----------------------------------------------------------


def _element(packed: bytes) -> int:
    return int.from_bytes(blake3(packed).digest(length=256), "big")


def _row_element(model: str, uuid: bytes, rev: int, fields: dict[str, Any]) -> int:
    shown = [
        part for name in sorted(fields) for part in (name, fields[name]) if fields[name] is not None
    ]
    return _element(msgpack.packb([model, uuid, rev, *shown]))


def _sum_of(connection: Connection, model: Model, epoch: int) -> int:
    """Return the sum over the live rows of a model of one owner."""
    ids = {
        item.reference: dict(
            connection.exec_driver_sql(f"SELECT id, uuid FROM {item.reference}").all()  # noqa: S608
        )
        for item in model.fields
        if item.reference is not None
    }
    found = connection.exec_driver_sql(
        f"SELECT * FROM {model.sync_name} WHERE epoch = ? AND dead = 0",  # noqa: S608 - of a model
        (epoch,),
    )
    names = list(found.keys())
    total = 0
    for values in found:
        row = dict(zip(names, values, strict=True))
        fields = {
            item.name: ids[item.reference][row[item.name]]
            if item.reference is not None and row[item.name] is not None
            else row[item.name]
            for item in model.fields
        }
        extra = {} if row["extra"] is None else msgpack.unpackb(row["extra"])
        kept = {name: value for name, value in {**fields, **extra}.items() if value is not None}
        total += _row_element(model.sync_name, row["uuid"], row["rev"], kept)
    return total


def _opaque_sum(connection: Connection, epoch: int) -> int:
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, rev, fields FROM opaque_row WHERE epoch = ?", (epoch,)
    )
    return sum(
        _row_element(model, uuid, rev, msgpack.unpackb(fields)) for model, uuid, rev, fields in rows
    )
