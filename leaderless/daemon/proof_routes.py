"""The routes that prove: counting again what is held, mending it, and what a peer holds otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import trio

from leaderless.catalogue.listing import find_device
from leaderless.catalogue.names import device_name, device_names, record_name
from leaderless.catalogue.text import name_json
from leaderless.daemon.doubts import PATIENCE_S, Doubts
from leaderless.daemon.member_routes import revoked_views
from leaderless.errors import UsageError
from leaderless.escape import printable
from leaderless.status.http import Answer
from leaderless.status.report import report
from leaderless.store import revocations
from leaderless.store.disk import DiskError
from leaderless.store.forgotten import ForgottenError
from leaderless.store.rebuild import rebuild
from leaderless.store.verification import mend, verify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Connection

    from leaderless.daemon.overview import Overview
    from leaderless.protocol.reconcile import Difference
    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.store.verification import Count
    from leaderless.sync.comparing import Comparison
    from leaderless.sync.driver import Driver

    Handler = Callable[[Request], Awaitable[Answer]]

_NAMED: Final = {"entry": "name", "location": "name", "device": "name", "volume": "display_name"}


@dataclass
class ProofDesk:
    """Answers for what is held, and sees to it by itself where a peer shows otherwise."""

    store: Store
    driver: Driver
    overview: Overview
    nonce: Callable[[], bytes]
    tell: Callable[[str, Mapping[str, object]], None]
    _doubts: Doubts = field(default_factory=Doubts)
    _doubted: trio.Event = field(default_factory=trio.Event)

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("POST", "/v1/verify"): self.verify,
            ("GET", "/v1/diff"): self.diff,
            ("GET", "/v1/progress"): self.progress,
        }

    async def progress(self, _: Request) -> Answer:
        """Return how far the longest work has come that is under way: rows, changes or commits."""
        return Answer({"done": str(self.store.progress.done)})

    # --- what is held here ------------------------------------------------------------------------

    async def verify(self, _: Request) -> Answer:
        """Count all that is held again, mend what is wrong, and say who holds the same."""
        names = await self.store.read(device_names)
        counted, wrong = await self.check()
        shown = report(await self.overview.view())
        peers = ("id", "name", "connected", "proved", "proved_at_ms", "why_not")
        return Answer(
            {
                "right": not wrong,
                "counts": [_count_json(count, names) for count in counted],
                "peers": [{name: peer[name] for name in peers} for peer in shown["peers"]],
            }
        )

    async def check(self) -> tuple[list[Count], list[Count]]:
        """Count all that is held, and mend what is wrong; return all, and what was wrong."""
        registry = self.store.registry
        progress = self.store.progress
        progress.begin()
        counted = await self.store.read(lambda c: verify(c, registry, progress.tell))
        if all(count.fault is None for count in counted):
            return counted, []
        nonce = self.nonce()
        wrong = await self.store.write(lambda transaction: mend(transaction, nonce))
        for count in wrong:
            self.tell("mended", {"owner": count.owner, "why": count.fault})
        # Peers are asked anew for what was dropped, and told whose rows go on otherwise.
        self.driver.reconnect()
        return counted, wrong

    def doubt(self, peer: bytes | None) -> None:
        """A peer that is level with us holds something else: `keep` looks who is wrong."""
        self._doubts.add(peer)
        self._doubted.set()

    async def keep(self) -> None:
        """Count again where there is reason to doubt, for ever: no two times follow at once.

        Where every row is what was kept, the log is run again: what it makes is what others have.
        """
        while True:
            peers = await self._next_doubt()
            try:
                _, wrong = await self.check()
                were_right = bool(wrong) or await self._run_the_log()
            except DiskError:
                # The doubts stay: they are looked into when the disk is well again.
                for peer in peers:
                    self.doubt(peer)
                await self.store.disk.until_well()
                continue
            self._doubts.judge(peers, trio.current_time(), were_right=were_right)
            await trio.sleep(PATIENCE_S)

    async def _next_doubt(self) -> frozenset[bytes | None]:
        """Return whose doubts are to be looked into, once there are any."""
        while not (peers := self._doubts.take(trio.current_time())):
            self._doubted = trio.Event()
            with trio.move_on_at(self._doubts.next_due()):
                await self._doubted.wait()
        return peers

    async def _run_the_log(self) -> bool:
        """Run the log again; return whether something else had stood here than it makes."""
        registry = self.store.registry
        try:
            done = await self.store.write(lambda tx: rebuild(tx.conn, registry, tx.now_ms))
        except ForgottenError:
            return False  # it proves nothing any more, and what is held agrees with its own hash
        if done.differences:
            self.tell("mended", {"owner": None, "why": "; ".join(done.differences)})
            self.driver.reconnect()
        return bool(done.differences)

    # --- what others hold -------------------------------------------------------------------------

    async def diff(self, request: Request) -> Answer:
        """Name what a connected device holds otherwise than this one."""
        reference = request.needed("peer")
        device = await self.store.read(lambda connection: find_device(connection, reference))
        if device == self.store.own_device:
            raise UsageError("that is this device", hint="leaderless verify counts what is here")
        await self._check_is_member(device)
        found = await self.driver.compare(device)
        return Answer(await self.store.read(lambda connection: _found(connection, device, found)))

    async def _check_is_member(self, device: bytes) -> None:
        """Raise RevokedError, with by whom and when, if one of the two devices is no member."""
        names = await self.store.read(device_names)
        gone = {view.id: view for view in revoked_views(self.driver.applier.members, names)}
        for about in (self.store.own_device, device):
            view = gone.get(about.hex())
            if view is not None:
                is_here = about == self.store.own_device
                who = "this device" if is_here else printable(view.name)
                anew = revocations.ADMITTED_ANEW if is_here else revocations.ADMITTING_ANEW
                day = datetime.fromtimestamp(int(view.at_ms) / 1_000, UTC).date()
                raise revocations.RevokedError(
                    f"{who} was revoked by {printable(view.by)} on {day}: nobody compares with it",
                    hint=f"{anew}; leaderless device list says who is a member",
                )


def _count_json(count: Count, names: Mapping[bytes, str]) -> dict[str, Any]:
    """Return what was counted of a device's rows, or of the shared records (without a device)."""
    return {
        "device": None if count.owner is None else names.get(count.owner, count.owner.hex()[:8]),
        "device_id": None if count.owner is None else count.owner.hex(),
        "rows": str(count.rows),
        "right": count.fault is None,
        "why": count.fault,
    }


def _found(connection: Connection, device: bytes, found: Comparison) -> dict[str, Any]:
    return {
        "peer": device_name(connection, device),
        "peer_id": device.hex(),
        "compared": str(found.compared),
        "rounds": found.rounds,
        "bytes": str(found.payload_bytes),
        "more": found.is_cut_short,
        "differences": [_difference_json(connection, item) for item in found.differences],
    }


def _difference_json(connection: Connection, item: Difference) -> dict[str, Any]:
    return {
        "model": item.model,
        "id": item.uuid.hex(),
        "name": _called(connection, item),
        "here": item.here is not None,
        "there": item.there is not None,
    }


def _called(connection: Connection, item: Difference) -> Any:  # noqa: ANN401 - JSON
    """Return what a person calls a row or record, as far as it is here; None where it is not."""
    if item.here is None:
        return None
    column = _NAMED.get(item.model)
    if column is None:
        return record_name(connection, item.model, item.uuid)
    name = connection.exec_driver_sql(
        f"SELECT {column} FROM {item.model} WHERE uuid = ?",  # noqa: S608 - from the list above
        (item.uuid,),
    ).scalar()
    return name_json(name) if isinstance(name, bytes) else name
