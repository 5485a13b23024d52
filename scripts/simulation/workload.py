"""What people and indexers do at a device: rows of its own, edits of what is shared.

All of it goes through the product's own doors: transactions as the indexer and the catalogue use
them, and the catalogue's undo. What a device has acknowledged is remembered; the oracles ask for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from entities.user_metadata import metadata_id
from leaderless.catalogue.undo import undo
from leaderless.errors import LeaderlessError
from leaderless.protocol.records import decode_ref
from leaderless.store import log
from leaderless.store.command import LockedRecordError
from leaderless.store.registers import Records
from registry.changes import (
    Create,
    Delete,
    DeviceId,
    Dismiss,
    Edit,
    Incarnation,
    Lock,
    Restore,
    Unlock,
    Update,
    feed_id,
)
from scripts.simulation.device import GoneError
from scripts.simulation.trees import Change, Tree, grown, planted
from tests.merge import world as about

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.models import Registry
    from scripts.simulation.device import Device

WRITES: dict[str, list[about.Fields]] = {
    "tag": [
        {"color": "red"},
        {"color": "blue", "icon": "sun"},
        {("aliases", "sea"): True},
        {("aliases", "sea"): None, ("attributes", "k"): 1},
        *({"merged_into": tag} for tag in about.TAGS),
        {"merged_into": None},
    ],
    "tag_relation": [{"relation": "parent_child"}, {"relation": "related"}, {"strength": 0.5}],
    "album": [{"name": "one"}, {"name": "two"}, {"description": "text", "cover": about.ITEMS[0]}],
    "album_entry": [{"position": "a"}, {"position": "b"}, {"caption": "x"}],
    "user_metadata": [
        {"note": "one"},
        {"note": "two", "rating": 3},
        {"favorite": True},
        {("custom_data", "k"): 1, ("custom_data", "l"): "x"},
        {("custom_data", "k"): None},
    ],
    "user_metadata_tag": [{"variant": "one"}, {"confidence": 0.5}, {("attributes", "k"): True}],
}
"""What is written: few values and few fields, so that devices get into each other's way."""
RECORDS = about.records()


class Author:
    """Somebody at a device, and what was acknowledged to him."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.tree = Tree()
        self.pending: Tree | None = None
        """The tree if what was asked for last happened; None if that is known."""
        self.commits: dict[int, bytes] = {}
        """The hash of every acknowledged commit by its place in this device's feed."""
        self.refused: list[str] = []
        self.feed = feed_id(DeviceId(device.id), Incarnation(1, bytes([device.index + 1]) * 8))

    # --- own rows ---------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Make the device's own row and its first place, unless they were made before."""
        if self.tree.rev or not await self.rename(0) or self.device.up is None:
            return
        new = self.device.up.store.ids.new
        change = Change(self.tree)
        planted(change, (new(), new(), new()), 0)
        await self._own(change)

    async def rename(self, number: int) -> bool:
        """Give the device another name, and tell its peers at once."""
        if self.device.up is None:
            return False
        name = f"{self.device.name}{number or ''}"

        def write(transaction: Transaction) -> None:
            transaction.put("device", ("uuid", "name"), [(self.device.id, name)])

        tree = self.tree
        self.pending = Tree(tree.rev + 1, tree.volumes, tree.locations, tree.entries, tree.gone)
        done = await self._acknowledged(lambda store: store.write(write))
        if done and self.device.up is not None:
            await self.device.up.driver.introduce()
        return done

    async def own(self, numbers: tuple[int, ...]) -> bool:
        """Change a few own rows in one transaction."""
        if self.device.up is None:
            return False
        new = self.device.up.store.ids.new
        change = Change(self.tree)
        if not self.tree.locations or numbers[0] % 40 == 0:
            planted(change, (new(), new(), new()), numbers[1] % 100)
        first, *rest = numbers
        for at in range(1 + numbers[3] % 3):
            grown(change, new(), (first // 7**at, *(number // 3**at for number in rest)))
        return bool(change.acts) and await self._own(change)

    async def _own(self, change: Change) -> bool:
        self.pending = change.tree
        return await self._acknowledged(lambda store: store.write(change.write))

    async def _acknowledged(self, work: Callable[[Store], Any]) -> bool:
        """Do it; take the pending tree for real once it is acknowledged, forget it if refused."""
        try:
            await self.device.do(work)
        except GoneError:
            return False
        except LeaderlessError as error:
            self.pending = None
            self.refused.append(error.code)
            return False
        if self.pending is not None:
            self.tree, self.pending = self.pending, None
        return True

    # --- shared records ---------------------------------------------------------------------------

    async def share(self, keys: list[tuple[str, bytes]], numbers: tuple[int, ...]) -> bool:
        """Do one or a few things to shared records, in one commit."""
        what, which, value, more = numbers
        chosen = [
            (what // 5**at, keys[(which // 7**at) % len(keys)]) for at in range(1 + (more % 5 == 0))
        ]

        def write(transaction: Transaction) -> tuple[int, bytes] | None:
            edits: dict[tuple[str, bytes], Edit] = {}
            for kind, key in chosen:
                made = _edit(transaction, kind, key, value)
                if made is not None:
                    edits.setdefault((made.model, bytes(made.record)), made)
            return self._commit(transaction, list(edits.values()))

        return await self._committed(lambda store: store.write(write))

    async def note(self, entry: bytes, number: int) -> bool:
        """Write a note on somebody's file, which need not be known here."""
        record = metadata_id("entry", entry)

        def write(transaction: Transaction) -> tuple[int, bytes] | None:
            alive = _state(transaction, "user_metadata", record).alive
            fields: dict[Any, Any] = {"note": f"n{number % 5}"}
            if alive:
                return self._commit(transaction, [Update("user_metadata", record, fields)])
            fields |= {"scope": "entry", "target": entry}
            return self._commit(transaction, [Create("user_metadata", record, fields)])

        return await self._committed(lambda store: store.write(write))

    async def undo(self) -> bool:
        """Take back the last thing that can be taken back."""

        async def work(store: Store) -> tuple[int, bytes] | None:
            await undo(store, None)
            return await store.read(partial(_head, feed=self.feed))

        return await self._committed(work)

    def _commit(self, transaction: Transaction, edits: list[Edit]) -> tuple[int, bytes] | None:
        if not edits:
            return None
        transaction.commit("simulated", edits)
        return _head(transaction.conn, self.feed)

    async def _committed(self, work: Callable[[Store], Any]) -> bool:
        try:
            head = await self.device.do(work)
        except GoneError:
            return False
        except LockedRecordError:
            return False
        except LeaderlessError as error:
            self.refused.append(error.code)
            return False
        if head is not None:
            self.commits[head[0]] = head[1]
        return head is not None


def _head(connection: Any, feed: bytes) -> tuple[int, bytes] | None:  # noqa: ANN401 - of SQLAlchemy
    held = log.feed_of_or_none(connection, feed)
    return None if held is None else (held.received, held.received_hash)


def known_to(registry: Registry, keys: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the records of which a device knows the model."""
    return [key for key in keys if registry.get(key[0]) is not None]


def _state(transaction: Transaction, model: str, record: bytes) -> Any:  # noqa: ANN401 - a state
    records = Records(transaction.conn, transaction.registry, transaction.now_ms)
    return records.state(model, record)


def _edit(transaction: Transaction, what: int, key: tuple[str, bytes], number: int) -> Edit | None:
    """Return what is to be done to a record, None where there is nothing to do."""
    kind = what % 12
    state = _state(transaction, *key)
    if kind == 0:
        lost = transaction.conn.exec_driver_sql(
            "SELECT model, record, field, subkey, loser FROM journal"
            " ORDER BY model, record, loser, field, subkey"
        ).all()
        if not lost:
            return None
        model, record, field, subkey, loser = lost[number % len(lost)]
        if not field:
            return Dismiss(model, record, deletes=(decode_ref(loser),))
        return Dismiss(model, record, (((field, subkey or None), decode_ref(loser)),))
    choices = WRITES[key[0]]
    fields = choices[number % len(choices)]
    if not state.alive:
        return Restore(*key) if kind < 4 else Create(*key, {**RECORDS[key], **fields})
    if kind < 3:
        return Delete(*key)
    if kind == 3:
        return Lock(*key) if state.locked_by is None else Unlock(*key)
    return Update(*key, fields)
