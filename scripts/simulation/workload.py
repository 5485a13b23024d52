"""What people and indexers do at a device: rows of its own, edits of what is shared.

All of it goes through the product's own doors: transactions as the indexer and the catalogue use
them, and the catalogue's undo. What a device has acknowledged is remembered; the oracles ask for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from entities.user_metadata import metadata_id
from leaderless.catalogue.undo import undo
from leaderless.errors import LeaderlessError, NotPermittedError
from leaderless.protocol.records import decode_ref
from leaderless.store import log, meta, state
from leaderless.store.command import LockedRecordError
from leaderless.store.registers import Records
from registry.changes import (
    Create,
    Delete,
    DeviceId,
    Dismiss,
    Edit,
    Lock,
    Restore,
    Unlock,
    Update,
    feed_id,
)
from scripts.simulation.device import GoneError
from scripts.simulation.trees import Change, Tree, emptied, filled, grown, planted, worked
from tests.merge import world as about

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.models import Registry
    from scripts.simulation.copies import Backup
    from scripts.simulation.device import Device

_MERGES: list[about.Fields] = [{"merged_into": tag} for tag in about.TAGS]
WRITES: dict[str, list[about.Fields]] = {
    "tag": [
        {"color": "red"},
        {"color": "blue", "icon": "sun"},
        {("aliases", "sea"): True},
        {("aliases", "sea"): None, ("attributes", "k"): 1},
        *_MERGES,
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


Head = tuple[tuple[bytes, int], bytes]


class Author:
    """Somebody at a device, and what was acknowledged to him."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.tree = Tree()
        self.pending: Tree | None = None
        """The tree if what was asked for last happened; None if that is known."""
        self.commits: dict[bytes, int] = {}
        """The number of every acknowledged commit by its hash: one may have been used twice."""
        self.kept: dict[bytes, int] = {}
        """Those of them that stand in this device's own file, whatever was done to that."""
        self.history: list[Tree] = []
        """Every tree that this device had or may have had."""
        self.alone: list[Tree] = []
        """What it held when it began to take its rows back: one of these, since it was put back."""
        self.started = Tree()
        """What it held at its last start before it took its rows back: which start was that of the
        backup may not be known."""
        self.backup: Backup | None = None
        self.is_unsure = False
        """Whether it may still have to take its rows back, since the last heal."""
        self.unheard: frozenset[bytes] = frozenset()
        """Devices that may hold another life of this one for good: nobody hears of it from them."""
        self.refused: list[str] = []

    def may_differ(self, holder: Device) -> bool:
        """Return whether a device may hold other rows of this one, by the same numbers, and rightly."""
        return self.is_unsure or holder.id in self.unheard

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
        after = replace(tree, rev=tree.rev + 1)
        done = await self._acknowledged(after, write)
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

    async def empty(self, number: int) -> bool:
        """Move all out of a directory and delete it; or make one for the next time."""
        if self.device.up is None:
            return False
        new = self.device.up.store.ids.new
        change = Change(self.tree)
        if number % 2:
            emptied(change, number)
        if not change.acts:
            filled(change, [new() for _ in range(1 + number % 7)], number)
        return bool(change.acts) and await self._own(change)

    async def job(self, number: int) -> bool:
        """Write a row of a model that some devices do not know, if this one does."""
        if self.device.up is None or self.device.registry.get("job") is None:
            return False
        change = Change(self.tree)
        worked(change, self.device.up.store.ids.new(), number)
        return await self._own(change)

    async def _own(self, change: Change) -> bool:
        return await self._acknowledged(change.tree, change.write)

    async def _acknowledged(self, after: Tree, work: Callable[[Transaction], None]) -> bool:
        """Do it; take the pending tree for real once it is acknowledged, forget it if refused."""
        before = self.tree
        self.pending = after
        self.history.append(after)

        def write(transaction: Transaction) -> None:
            # Meanwhile it may have taken older rows back: what was looked at is not there.
            own = state.copy_of(transaction.conn, transaction.own_device)
            if own is None or own.watermark != before.rev:
                raise NotPermittedError("it holds other rows than when this was decided")
            work(transaction)

        try:
            await self.device.do(lambda store: store.write(write))
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

        def write(transaction: Transaction) -> Head | None:
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

        def write(transaction: Transaction) -> Head | None:
            alive = _state(transaction, "user_metadata", record).alive
            fields: dict[Any, Any] = {"note": f"n{number % 5}"}
            if alive:
                return self._commit(transaction, [Update("user_metadata", record, fields)])
            fields |= {"scope": "entry", "target": entry}
            return self._commit(transaction, [Create("user_metadata", record, fields)])

        return await self._committed(lambda store: store.write(write))

    async def undo(self) -> bool:
        """Take back the last thing that can be taken back."""

        async def work(store: Store) -> Head | None:
            await undo(store, None)
            return await store.read(_head)

        return await self._committed(work)

    @staticmethod
    def _commit(transaction: Transaction, edits: list[Edit]) -> Head | None:
        if not edits:
            return None
        transaction.commit("simulated", edits)
        return _head(transaction.conn)

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
            self.commits[head[1]] = self.kept[head[1]] = head[0][1]
        return head is not None


def _head(connection: Connection) -> Head | None:
    """Return place and hash of the last commit that was written here."""
    own = state.copy_of(connection, meta.get(connection, meta.OWN_DEVICE))
    if own is None:
        return None
    feed = feed_id(DeviceId(own.owner), own.incarnation)
    held = log.feed_of_or_none(connection, feed)
    return None if held is None else ((feed, held.received), held.received_hash)


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
