"""What a watermark promises: every row that its owner has written up to there, and still has.

Asked at every commit of every device that moves a watermark, as what is missing in the middle of a
transfer may be mended at its end, and would be shown as missing until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.store import restoring, state
from registry.changes import Incarnation
from scripts.simulation.oracles import demand

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.models import Registry
    from scripts.simulation.device import Device
    from scripts.simulation.world import World


class Written(NamedTuple):
    """An owner's live rows in its newest incarnation, by uuid the rev of each."""

    incarnation: Incarnation
    rev: int
    rows: Mapping[bytes, int]


class Promises:
    """Holds the watermarks of all devices against what owners have written."""

    def __init__(self) -> None:
        self._written: dict[str, Written] = {}
        """Of the file of each owner what it held when it was needed last."""
        self._marks: dict[tuple[str, bytes], tuple[Incarnation, int]] = {}
        """Of the file of a device and an owner, the last watermark that was looked at."""

    def wrote(self, world: World, device: Device, connection: Connection) -> None:
        """A transaction of a device is durable: look at the watermarks that it has moved."""
        path = str(device.path)
        for copy in state.copies(connection):
            reached = copy.incarnation, copy.watermark
            if self._marks.get((path, copy.owner)) == reached:
                continue
            self._marks[path, copy.owner] = reached
            if copy.owner == device.id:
                continue
            if not world.witness.truth.has_liars or copy.verified == copy.watermark:
                self._look(world, device, connection, copy)

    def _look(self, world: World, device: Device, connection: Connection, copy: Copy) -> None:
        author = next(item for item in world.authors if item.device.id == copy.owner)
        # Of a device that was restored, or runs twice, nobody knows what it wrote under which rev.
        if author.is_unsure:
            return
        held = rows_of(connection, device.registry, copy.epoch)
        path = str(author.device.path)
        written = self._written.get(path)
        if written is None or not _is_told(written, copy) or _lacks(held, written, copy):
            # Its owner may have written more since: rows come ahead of their turn, as ancestors.
            written = self._written[path] = _written_by(world, author.device)
        # Who is behind what others hold of it was restored a moment ago.
        demand(
            not _is_told(written, copy) or not _lacks(held, written, copy),
            f"{device.name} holds {author.device.name} up to {copy.watermark},"
            f" and lacks what {author.device.name} has written before",
        )


def _is_told(written: Written, copy: Copy) -> bool:
    """Return whether it is known what an owner has written up to the watermark of a copy."""
    return written.incarnation == copy.incarnation and written.rev >= copy.watermark


def _lacks(held: Mapping[bytes, int], written: Written, copy: Copy) -> bool:
    """Return whether rows up to the watermark of a copy are missing in it."""
    mark = copy.watermark
    return any(rev <= mark and held.get(uuid, 0) < rev for uuid, rev in written.rows.items())


def _written_by(world: World, owner: Device) -> Written:
    with world.witness.at(owner).begin() as connection:
        own = state.copy_of(connection, owner.id)
        if own is None or restoring.life(connection):
            return Written(Incarnation(0, b""), 0, {})
        return Written(
            own.incarnation, own.watermark, rows_of(connection, owner.registry, own.epoch)
        )


def rows_of(connection: Connection, registry: Registry, epoch: int) -> dict[bytes, int]:
    """Return the rev of each live row of an incarnation, whether its model is known or not.

    A package's model has no table yet in a file of before, whose device has not started since.
    """
    named = [
        model.sync_name
        for model in registry.owned()
        if not model.schema or _is_there(connection, model.sync_name)
    ]
    parts = [f"SELECT uuid, rev FROM {name} WHERE epoch = ?1 AND dead = 0" for name in named]  # noqa: S608
    query = " UNION ALL ".join([*parts, "SELECT uuid, rev FROM opaque_row WHERE epoch = ?1"])
    return dict(connection.exec_driver_sql(query, (epoch,)).all())


def _is_there(connection: Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.exec_driver_sql(query, (table,)).first() is not None
