"""Pairing as the daemon runs it: one open code at a time, or one code typed here."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from leaderless.catalogue.said_of import said_of_nothing
from leaderless.daemon.browsing import Hints, browse
from leaderless.daemon.members import Welcome, admission, decode_welcome, encode_welcome
from leaderless.daemon.whereabouts import parsed_addresses
from leaderless.discovery.base import HintKind
from leaderless.discovery.static import parse_address
from leaderless.errors import NotFoundError, NotPermittedError, UsageError
from leaderless.identity import device_id
from leaderless.pairing import code as codes
from leaderless.pairing.attempts import LIFETIME_S, CodeState, OpenCode
from leaderless.pairing.host import open_pairing
from leaderless.pairing.join import join
from leaderless.protocol.packing import pack, unpack
from leaderless.store import meta, revocations
from leaderless.store.joining import check_leaves_nothing, check_may_join, join_library
from leaderless.store.statements import statements, take_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection as Database

    from leaderless.config import Config
    from leaderless.discovery.mdns import Mdns
    from leaderless.identity import Identity
    from leaderless.pairing.host import Joiner
    from leaderless.pairing.join import Host
    from leaderless.protocol.membership import Membership
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from leaderless.sync.apply import Applier


class PairingDesk:
    """Shows a code, or types one."""

    def __init__(
        self,
        nursery: trio.Nursery,
        store: Store,
        identity: Identity,
        config: Config,
        applier: Applier,
        addresses: Callable[[], tuple[str, ...]],
        suggest: Callable[[str, int], None],
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._nursery = nursery
        self._store = store
        self._identity = identity
        self._config = config
        self._applier = applier
        self._addresses = addresses
        self._suggest = suggest
        self._tell = tell
        self.mdns: Mdns | None = None
        self.hints = Hints()
        self._open: OpenCode | None = None
        self._scope = trio.CancelScope()
        self._opening = trio.Lock()
        self._closed = trio.Event()
        self._closed.set()
        self._port = 0
        self._joined: str | None = None
        self._brought, self._unseen = 0, 0
        self._changed = trio.Event()

    # --- showing a code ---------------------------------------------------------------------------

    async def show(self) -> dict[str, Any]:
        """Open a code, in place of the one that was open; raises NotPermittedError."""
        await self._store.read(revocations.check_may_share)
        if not self._applier.members.may_admit(self._identity.public_key):
            raise NotPermittedError("this device may not admit others: it is no admin")
        async with self._opening:
            self.close()
            # The port and the announcement of the code before have to be free again.
            await self._closed.wait()
            self._scope, self._closed = trio.CancelScope(), trio.Event()
            self._joined = None
            code = OpenCode(codes.make(secrets.randbelow), trio.current_time())
            try:
                self._port = await self._nursery.start(self._serve, code, self._scope, self._closed)
            except OSError as error:
                port = self._config.pair_port
                raise UsageError(
                    f"a code cannot be shown at port {port}: {error.strerror}",
                    hint="set pair_port = 0 in the configuration",
                ) from error
            self._open = code
            return self.state()

    def state(self) -> dict[str, Any]:
        """Return the open code and what became of it."""
        if self._open is None:
            raise NotFoundError("no code is open", hint="leaderless pair")
        now = trio.current_time()
        left = max(0.0, self._open.opened + LIFETIME_S - now)
        state = self._open.state(now)
        waiting = state is CodeState.WAITING
        return {
            "state": state.value,
            "code": self._open.code.reveal() if waiting else None,
            "seconds_left": int(left) if waiting else 0,
            "tries_left": max(0, 3 - self._open.failures),
            "port": self._port,
            "device": self._joined,
        }

    async def wait_change(self) -> dict[str, Any]:
        """Return the state once it is another, or after a second."""
        with trio.move_on_after(1):
            await self._changed.wait()
        return self.state()

    def close(self) -> None:
        """Withdraw the code."""
        self._scope.cancel()
        self._open = None

    async def _serve(
        self,
        code: OpenCode,
        scope: trio.CancelScope,
        closed: trio.Event,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        try:
            with scope:
                await self._show(code, task_status)
            if self.mdns is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await self.mdns.withdraw(HintKind.PAIR)
        finally:
            closed.set()

    async def _show(self, code: OpenCode, task_status: trio.TaskStatus[int]) -> None:
        pairing = open_pairing(
            self._identity,
            code,
            self._config.listen_host,
            self._config.pair_port,
            self._admit,
            self._heard,
        )
        async with pairing as endpoint:
            task_status.started(endpoint.port)
            if self.mdns is not None:
                await self.mdns.announce(HintKind.PAIR, endpoint.port)
            while code.state(trio.current_time()) is CodeState.WAITING:
                with trio.move_on_at(code.opened + LIFETIME_S):
                    await self._changed.wait()

    def _heard(self, what: str, why: str) -> None:
        self._tell(what, {"why": why})
        self._changed.set()
        self._changed = trio.Event()

    async def _admit(self, joiner: Joiner) -> bytes:
        """Make a joiner a member, durably, and return its welcome."""
        about = unpack(joiner.introduction)
        name = str(about.get("name", ""))[:64] if isinstance(about, dict) else ""
        member = self._applier.members.members.get(joiner.public_key)
        # Its connection may have broken after the proof: who comes again is welcomed again.
        if member is None or member.certificate != joiner.certificate_der:
            await self._add_member(joiner, name)
        self._joined = name
        kept = await self._store.read(statements)
        return encode_welcome(Welcome(self._store.library, kept, self._addresses()))

    async def _add_member(self, joiner: Joiner, name: str) -> None:
        nonce = secrets.token_bytes(16)
        now_ms = self._store.now_ms()
        device = device_id(joiner.public_key)
        since = await self._store.read(lambda c: revocations.next_generation(c, device))
        members, certificate = self._applier.members, joiner.certificate_der
        said = admission(self._identity, members, certificate, name, now_ms, nonce, since)

        def write(transaction: Transaction) -> Membership:
            return take_statements(transaction, [said])

        self._applier.members = await self._store.write(write)
        self._tell("member_added", {"device": device_id(joiner.public_key), "name": name})

    # --- typing a code ----------------------------------------------------------------------------

    async def type_code(
        self, text: str, address: str | None, *, leaves_edits: bool = False
    ) -> dict[str, Any]:
        """Join the library of the device that shows this code.

        Raises EditsLeftError if edits may be gone by that, unless `leaves_edits`.
        """
        code = codes.parse(text)
        if self._open is not None and self._open.code.reveal() == code.reveal():
            raise UsageError("this device shows that code itself", hint="type it on the other one")
        members = len(self._applier.members.members)
        await self._store.read(lambda connection: check_may_join(connection, members))
        if not leaves_edits:
            own = self._store.own_device
            await self._store.read(lambda connection: check_leaves_nothing(connection, own))
        attempt = partial(self._attempt, code)
        if address:
            host = await attempt(parse_address(address))
        elif self.mdns is None:
            raise UsageError("mDNS is off here", hint="add --address HOST:PORT")
        else:
            host = await browse(self.hints, attempt)
        name = self._applier.members.library_name
        host_id = device_id(host.public_key).hex()
        return {
            "device_id": host_id,
            "library": name,
            "records_brought": self._brought,
            "records_unseen": self._unseen,
        }

    async def _attempt(self, code: codes.Code, address: tuple[str, int]) -> Host:
        introduction = pack({"name": await self._store.read(_own_name)})
        keep = partial(self._keep, address[0])
        return await join(self._identity, address, code, introduction, keep)

    async def _keep(self, called: str, host: Host) -> None:
        """Store the welcome: from here on this device is a member."""
        welcome, members = decode_welcome(host.welcome, self._identity.public_key, host.public_key)

        def write(transaction: Transaction) -> tuple[int, int]:
            # Another code may have been typed, and come through, since this one was.
            check_may_join(transaction.conn, len(self._applier.members.members))
            since = members.members[self._identity.public_key].since
            nonce = secrets.token_bytes(8)
            said = welcome.statements
            brought = join_library(transaction, welcome.library, said, nonce, since)
            return brought, said_of_nothing(transaction.conn) if brought else 0

        self._brought, self._unseen = await self._store.write(write)
        self._applier.members, brought = members, self._brought
        self._tell("joined", {"library": members.library_name, "records_brought": brought})
        for host_name, port in parsed_addresses(welcome.addresses):
            self._suggest(host_name, port)
            if host_name != called:
                self._suggest(called, port)


def _own_name(connection: Database) -> str:
    """Return what this device is called now."""
    own = meta.get(connection, meta.OWN_DEVICE)
    return str(
        connection.exec_driver_sql("SELECT name FROM device WHERE uuid = ?", (own,)).scalar_one()
    )
