"""What all devices have to agree about once everything is healed and all say that they are in sync.

Equal with each other, with what was acknowledged, and with a naive replay of all commits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol import commits
from leaderless.store import meant, meta, state
from leaderless.store.holdings import read_holdings
from registry.changes import WriteRef
from scripts.simulation.hashes import element, opaque_sum, sum_of
from scripts.simulation.oracles import demand
from tests.merge.oracle import Told, replay
from tests.merge.world import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.vectors import Holdings, OwnedProof
    from scripts.simulation.device import Device
    from scripts.simulation.oracles import Witness
    from scripts.simulation.trees import Tree
    from scripts.simulation.workload import Author


def settled(
    witness: Witness, devices: Sequence[Device], authors: Sequence[Author]
) -> tuple[int, int]:
    """All devices say that they are in sync: so they are; return (commits, rows)."""
    first, *others = devices
    export, held = witness.export(first), _holdings(witness, first)
    for device in others:
        mine = set(witness.export(device)) ^ set(export)
        shown = min(mine, default=b"").decode()
        demand(not mine, f"{device.name} and {first.name} show different records: {shown}")
        other = _holdings(witness, device)
        demand(other.shared_hash == held.shared_hash, f"shared hashes differ at {device.name}")
        demand(_proofs(other) == _proofs(held), f"set hashes differ at {device.name}")
    for author in authors:
        _is_acknowledged(author, export)
    for device in devices:
        _is_hashed_right(witness, device)
        _is_shown(witness, device)
    return _is_as_replayed(witness, devices, authors), len(export)


def _proofs(held: Holdings) -> dict[bytes, OwnedProof]:
    """Return what is held of every owner of which anything is."""
    return {
        owner: proof for owner, proof in held.owned.items() if held.vectors.owned[owner].watermark
    }


def _holdings(witness: Witness, device: Device) -> Holdings:
    with witness.at(device).begin() as connection:
        return read_holdings(connection)


def _is_acknowledged(author: Author, export: list[bytes]) -> None:
    """The owned rows that all devices show are those that their owner was told are kept."""
    owner = author.device.id.hex()
    shown, jobs = set(), {}
    for line in export:
        record = json.loads(line)
        if record["model"] == "job" and record.get("owner") == owner:
            jobs[record["id"]] = int(record["fields"]["done"])
        if record["model"] == "entry" and record.get("owner") == owner:
            fields = record["fields"]
            shown.add(
                (record["id"], fields.get("parent"), fields["name"], str(fields["size_bytes"]))
            )
    acknowledged = {uuid.hex(): done for uuid, done in author.tree.jobs.items()}
    demand(jobs == acknowledged, f"the jobs of {author.device.name} are not those it acknowledged")
    demand(author.pending is None, f"what {author.device.name} holds is not known")
    demand(
        shown == _rows(author.tree),
        f"the entries of {author.device.name} are not those that it acknowledged: "
        f"{sorted(map(str, shown ^ _rows(author.tree)))[:2]}",
    )


def _is_shown(witness: Witness, device: Device) -> None:
    """Nothing is kept aside of what a device knows."""
    with witness.at(device).begin() as connection:
        kept = connection.exec_driver_sql("SELECT DISTINCT model FROM opaque_row").scalars()
        aside = [model for model in kept if device.registry.get(model) is not None]
        (entry,) = [model for model in device.registry.owned() if model.sync_name == "entry"]
        known = {item.name for item in entry.fields}
        extras = connection.exec_driver_sql("SELECT extra FROM entry WHERE extra IS NOT NULL")
        aside += [name for extra in extras.scalars() for name in known & {*msgpack.unpackb(extra)}]
    demand(not aside, f"{device.name} does not show {aside[:1]}, which it knows")


def _is_hashed_right(witness: Witness, device: Device) -> None:
    """The set hash of every owner is the sum over all its rows, counted from the start."""
    with witness.at(device).begin() as connection:
        for copy in state.copies(connection):
            total = 0
            # What earlier incarnations left behind would count as well.
            for epoch in state.epochs_of(connection, copy.owner, copy.epoch).known:
                total += sum(sum_of(connection, model, epoch) for model in device.registry.owned())
                total += opaque_sum(connection, epoch)
            demand(
                copy.set_hash == (total % (1 << 2048)).to_bytes(256, "big"),
                f"a set hash at {device.name} is not that of the rows that are there",
            )
        shared = sum(
            element(msgpack.packb([model, uuid]) + packed)
            for model, uuid, packed in connection.exec_driver_sql(
                "SELECT model, uuid, state FROM record WHERE state IS NOT NULL"
            )
        )
        demand(
            meta.get(connection, meta.SHARED_HASH) == (shared % (1 << 2048)).to_bytes(256, "big"),
            f"the shared set hash at {device.name} is not that of its records",
        )


def _is_as_replayed(witness: Witness, devices: Sequence[Device], authors: Sequence[Author]) -> int:
    """Tables and journal are those of a naive replay; nothing acknowledged is missing."""
    told: list[Told] = []
    kept: set[bytes] = set()
    with witness.at(devices[0]).begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT f.feed, c.seq, c.hash, c.header FROM commit_log c"
            " JOIN feed f ON f.id = c.feed WHERE c.seq <= f.applied ORDER BY c.feed, c.seq"
        ).all()
        for feed, seq, hashed, packed in rows:
            kept.add(hashed)
            header = commits.decode_header(packed)
            said = commits.decode_body(header, witness.bodies[hashed])
            # Behind a fork positions are called otherwise than the commits call them.
            for place, change in enumerate(meant.as_here(connection, feed, header.seq, said)):
                told.append(Told(change, WriteRef(header.stamp, feed, seq, place)))
    for author in authors:
        lost = [seq for hashed, seq in author.commits.items() if hashed not in kept]
        demand(not lost, f"commits {lost[:3]} that {author.device.name} acknowledged are gone")
    wanted = tables(replay(told))
    for device in devices:
        for model in device.registry.shared():
            name = model.sync_name
            with witness.at(device).begin() as connection:
                shown = _table(connection, name)
            demand(
                shown == wanted[name],
                f"{device.name} shows in {name} what a replay of all commits does not",
            )
    return len(rows)


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
