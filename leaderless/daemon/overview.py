"""Gathers from the rooms what the status report is made from."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from leaderless.advice import LOST
from leaderless.daemon.alerts import (
    altered_alerts,
    circle_alerts,
    fetched,
    fetching_alerts,
    fork_alerts,
    life_alerts,
    relay_alert,
    revoked_alerts,
    waited_for,
)
from leaderless.daemon.disk_watch import disk_alerts
from leaderless.daemon.facts import MOST_CONFLICTS, Facts, called, named, short
from leaderless.daemon.member_routes import revoked_views
from leaderless.daemon.other_versions import other_versions
from leaderless.escape import printable
from leaderless.identity import device_id
from leaderless.indexer.scan import Progress
from leaderless.protocol.commands import Stream
from leaderless.protocol.retention import LEASE_MS
from leaderless.protocol.returning import knows_more
from leaderless.status.report import Alert, PeerView, ScanView, View
from leaderless.store import came_back, restoring, shelf
from leaderless.store.forgetting import away_since
from leaderless.store.repair import acknowledge
from leaderless.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.daemon.presence import Presence
    from leaderless.indexer.service import Indexer
    from leaderless.plugins import LeftOut
    from leaderless.protocol.fetching import Fetching
    from leaderless.protocol.membership import Membership
    from leaderless.protocol.peer import Peer
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from leaderless.sync.driver import Driver

CLOCK_SUSPECT_MS = 60_000


class Overview:
    """Makes the view of this moment."""

    def __init__(
        self,
        store: Store,
        driver: Driver,
        indexer: Indexer,
        members: Callable[[], Membership],
        presence: Presence,
        left_out: Sequence[LeftOut] = (),
        *,
        findable: bool = True,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._store = store
        self._driver = driver
        self._indexer = indexer
        self._members = members
        self._presence = presence
        self._left_out = left_out
        self._findable = findable
        self._lease_ms = lease_ms

    async def view(self) -> View:
        """Return everything the report needs."""
        now_ms, epoch = self._store.now_ms(), self._store.own_epoch
        registry = self._store.registry
        members = self._members()
        away = {device_id(key) for key in members.members} - {self._store.own_device}
        away -= self._driver.connected().keys()

        def read(connection: Connection) -> Facts:
            facts = Facts(connection, now_ms, epoch, registry)
            facts.lapsed = away_since(connection, away, (), now_ms, self._lease_ms)
            return facts

        facts = await self._store.read(read)
        others = sorted(
            (member.name, device_id(key))
            for key, member in members.members.items()
            if device_id(key) != self._store.own_device
        )
        connected = {peer.device: peer for peer in self._driver.exchange.peers.values()}
        own = self._store.own_device
        gone = revoked_views(members, facts.names, self._presence.refused, facts.left_behind)
        return View(
            device=facts.names.get(own) or short(own),
            device_id=own.hex(),
            library=members.library_name,
            now_ms=now_ms,
            peers=[
                self._peer(
                    facts,
                    device,
                    facts.names.get(device) or name or short(device),
                    connected.get(device),
                )
                for name, device in others
            ],
            scans=[self._scan(*row) for row in facts.scans],
            warnings=[*revoked_alerts(gone, own), *self._alerts(facts, connected)],
            rows=sum(proof.row_count for proof in facts.holdings.owned.values()),
            tags=facts.tags,
            revoked=[device for device in gone if device.id != own.hex()],
            is_member=all(device.id != own.hex() for device in gone),
            writes=not facts.holdings.life,
        )

    async def waits(self) -> str | None:
        """Return what this device waits for while it takes its rows back; None if it does not."""
        if await self._store.read(restoring.life) != restoring.RESTORING:
            return None
        now_ms, epoch, registry = self._store.now_ms(), self._store.own_epoch, self._store.registry
        facts = await self._store.read(lambda c: Facts(c, now_ms, epoch, registry))
        connected = {peer.device: peer for peer in self._driver.exchange.peers.values()}
        return waited_for(facts, *self._awaited(facts, connected))

    @property
    def _fetching(self) -> Fetching:
        return self._driver.exchange.fetching

    async def acknowledge(self) -> None:
        """Tell no more of what has happened and is over: a replaced database, a restore."""

        def write(transaction: Transaction) -> None:
            acknowledge(transaction)
            came_back.seen(transaction)

        await self._store.write(write)

    def _peer(self, facts: Facts, device: bytes, name: str, peer: Peer | None) -> PeerView:
        sighting = self._presence.of(device)
        seen_ms, proved_ms = sighting.seen_ms, sighting.proved_ms
        shown_seen = None if seen_ms is None else str(seen_ms)
        shown_proved = None if proved_ms is None else str(proved_ms)
        if peer is None or peer.hello is None:
            phase = "away" if peer is None else "hello"
            return PeerView(
                device.hex(),
                name,
                peer is not None,
                None if peer is None else peer.address,
                phase,
                False,
                shown_proved,
                0,
                0,
                _away(facts.lapsed.get(device)) if peer is None else "greeting",
                shown_seen,
                device in facts.lapsed,
            )
        proved = self._driver.exchange.is_proved(peer)
        ahead = peer.ahead(facts.holdings.vectors)
        rows = sum(amount for key, amount in ahead.items() if key.stream is Stream.STATE)
        commits = sum(amount for key, amount in ahead.items() if key.stream is Stream.LOG)
        why = None if proved else self._why(facts, peer, rows, commits)
        busy = rows or commits or facts.holdings.forgotten
        return PeerView(
            device.hex(),
            name,
            True,
            peer.address,
            "live" if proved or not busy else "catching_up",
            proved,
            shown_proved,
            rows,
            commits,
            why,
            str(self._store.now_ms()),
        )

    def _why(self, facts: Facts, peer: Peer, rows: int, commits: int) -> str:
        if peer.differs:
            return "positions are equal but hashes differ: what is held here is being counted again"
        if rows or commits:
            rest = [
                counted(number, thing)
                for number, thing in ((rows, "change"), (commits, "commit"))
                if number
            ]
            verb = "is" if rows + commits == 1 else "are"
            text = f"{' and '.join(rest)} {verb} still to come from it"
            return text + self._but(peer, facts)
        if peer.hello is not None and peer.hello.version < (1, 1) and self._members().former:
            return "its version knows nothing of revoked devices: upgrade it"
        unproved = facts.holdings.unproved
        if facts.holdings.forgotten:
            return fetched(facts.holdings)
        if unproved:
            about, reason = next(iter(unproved.items()))
            return f"of {called(facts, about[:16])}: {reason}"
        behind = peer.unacknowledged
        return f"{counted(behind, 'byte')} on the way to it" if behind else "comparing"

    def _but(self, peer: Peer, facts: Facts) -> str:
        """Return why what a peer has may not come from it soon, nothing if nothing is known against."""
        distrusted, now = self._fetching.trust.distrusted, trio.current_time()
        for key in peer.ahead(facts.holdings.vectors):
            found = distrusted.get((peer.device, key))
            if found is not None and (found.link == peer.link or now < found.until):
                return f"; it is not asked for that now: {printable(found.why)}"
        withheld = any(device == peer.device for device, _ in self._fetching.promises.withheld)
        return "; it gives less than it says" if withheld else ""

    def _scan(self, uuid: bytes, name: str, state: str, message: str | None) -> ScanView:
        progress = self._indexer.progress.get(uuid) or Progress(phase=state)
        errors, pauses = progress.errors, self._indexer.pauses
        left = pauses.left(uuid)
        # Files are also hashed in passes that are too small to be called scans.
        is_shown = state == "scanning" or progress.phase == "hashing"
        return ScanView(
            name,
            progress.phase if is_shown else state,
            progress.entries_seen,
            progress.files_hashed,
            errors.count,
            tuple((printable(os.fsdecode(e.path)), e.message) for e in errors.items[:10]),
            message,
            pauses.has(uuid),
            None if left is None else str(left.files),
            None if left is None else str(left.size_bytes),
        )

    def _alerts(self, facts: Facts, connected: Mapping[bytes, Peer]) -> list[Alert]:
        alerts = [
            *life_alerts(facts, *self._awaited(facts, connected), self._store.now_ms()),
            *disk_alerts(self._store.disk, facts.replaced, self._store.now_ms()),
        ]
        alerts += other_versions(connected.values(), facts.names)
        alerts += [
            Alert(
                "FUTURE_STAMP",
                f"the clock of {called(facts, author)} is ahead of ours",
                "set the clock of that device; its edits count as any other",
            )
            for author in facts.future
        ]
        ahead = sorted(peer.clock_ahead_ms for peer in connected.values() if peer.hello)
        if ahead and abs(ahead[len(ahead) // 2]) > CLOCK_SUSPECT_MS:
            seconds = abs(ahead[len(ahead) // 2]) // 1000
            alerts.append(
                Alert(
                    "CLOCK_SUSPECT",
                    f"our clock is {seconds} s off those of our peers",
                    "timedatectl",
                )
            )
        alerts += fetching_alerts(facts.holdings, connected)
        for item in facts.shelf:
            if item.waits_for == shelf.FORGOTTEN:
                continue
            who = called(facts, item.feed[:16])
            alerts.append(
                Alert(
                    "SHELVED",
                    f"commit {item.seq} of {who} waits for {named(facts, item.waits_for)}",
                )
            )
        now = trio.current_time()
        connected_s = {device: now - peer.since for device, peer in connected.items()}
        alerts += fork_alerts(facts, self._store.own_device, connected_s, self._store.now_ms())
        for about, reason in facts.holdings.unproved.items():
            if "signed" in reason or "follow" in reason:
                alerts.append(Alert("STATE_DIFFERS", f"{called(facts, about[:16])}: {reason}"))
        alerts += [
            relay_alert(facts, device, key.of[:16], found.why)
            for (device, key), found in self._fetching.trust.distrusted.items()
            if found.link in self._driver.exchange.peers or trio.current_time() < found.until
        ]
        altered = self._fetching.trust.altered
        alerts += altered_alerts(facts, altered, trio.current_time())
        for _, name, state, message in facts.scans:
            if state in ("blocked", "offline", "error"):
                alerts.append(Alert(f"LOCATION_{state.upper()}", f"{name}: {message}"))
        limit = self._indexer.watch_limit()
        if limit is not None:
            alerts.append(Alert("WATCH_LIMIT", "not every folder can be watched", limit))
        alerts += [
            Alert(
                "PACKAGE_LEFT_OUT",
                f"the models of package {item.package} are not used: {item.why}",
                "mend or uninstall the package, then restart the daemon",
            )
            for item in self._left_out
        ]
        if facts.conflicts:
            least = "at least " if facts.conflicts == MOST_CONFLICTS else ""
            lost = counted(facts.conflicts, "edit")
            text = f"{least}{lost} lost against others that had not seen them"
            alerts.append(Alert("CONFLICTS", text, "leaderless conflicts"))
        return alerts + circle_alerts(facts) + self._lost(facts, connected)

    def _awaited(
        self, facts: Facts, connected: Mapping[bytes, Peer]
    ) -> tuple[list[str], float | None]:
        """Return whom a restored device waits for, and for how many seconds more if that is known."""
        own, now = self._store.own_device, trio.current_time()
        names = []
        for key, member in self._members().members.items():
            device = device_id(key)
            peer = connected.get(device)
            gives = peer is not None and knows_more(peer, own, facts.holdings)
            if device != own and (peer is None or not peer.known or gives):
                names.append(facts.names.get(device) or member.name or short(device))
        until = self._driver.exchange.returning.replan_at
        return sorted(names), None if until is None else max(until - now, 0.0)

    def _lost(self, facts: Facts, connected: Mapping[bytes, Peer]) -> list[Alert]:
        """Return a warning where who is away may never be met again."""
        away = [
            facts.names.get(device) or member.name or short(device)
            for key, member in self._members().members.items()
            if (device := device_id(key)) not in connected and device != self._store.own_device
        ]
        if self._findable or not away:
            return []
        text = f"{min(away)} may not find this device: it takes calls at another port"
        return [Alert("NO_FIXED_ADDRESS", f"{text} after each start", LOST.hint)]


def _away(lapsed_ms: int | None) -> str:
    """Return what is said of a device that is not connected; `lapsed_ms`: how long, if too long."""
    if lapsed_ms is None:
        return "not connected"
    since = datetime.fromtimestamp(lapsed_ms / 1000, UTC).date()
    # Which of the two was away nobody can tell until they meet.
    return f"lapsed: not met since {since}; who missed most is given the state of all records then"
