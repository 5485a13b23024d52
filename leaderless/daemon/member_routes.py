"""The route that takes a device's membership away, and what is shown of those who had one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from leaderless.catalogue.listing import find_device
from leaderless.catalogue.names import device_names
from leaderless.daemon.members import revocation
from leaderless.errors import NotFoundError
from leaderless.identity import certificate_key, device_id
from leaderless.protocol.membership import decode
from leaderless.status.http import Answer
from leaderless.status.report import RevokedView
from leaderless.store.statements import take_statements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy import Connection

    from leaderless.identity import Identity
    from leaderless.protocol.membership import Membership, Signed
    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver

    Handler = Callable[[Request], Awaitable[Answer]]


_MAX_TIME_MS: Final = 253_402_300_799_000
"""The end of the year 9999: what somebody signed may be beyond what can be shown."""


@dataclass
class MemberDesk:
    """Revokes devices."""

    store: Store
    identity: Identity
    driver: Driver
    tell: Callable[[str, Mapping[str, object]], None]

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/devices/revoke"): self.whom,
            ("POST", "/v1/devices/revoke"): self.revoke,
        }

    async def whom(self, request: Request) -> Answer:
        """Return whose membership a revoke would take away, or why it cannot; nothing is done."""
        said = decode((await self._said(request)).body)
        device = device_id(certificate_key(said.certificate))
        names = await self.store.read(device_names)
        name = names.get(device) or said.name or device.hex()[:8]
        is_own = device == self.store.own_device
        return Answer({"device_id": device.hex(), "name": name, "this_device": is_own})

    async def _said(self, request: Request) -> Signed:
        """Return the statement that is asked for; it takes effect once it is taken in."""
        reference, members = request.needed("device"), self.driver.applier.members
        device = await self.store.read(lambda c: _find_member(c, members, reference))
        nonce, now_ms = secrets.token_bytes(16), self.store.now_ms()
        return revocation(self.identity, members, device, now_ms, nonce)

    async def revoke(self, request: Request) -> Answer:
        """Take a device's membership away, for everyone and from now on."""
        applier, said = self.driver.applier, await self._said(request)
        device = device_id(certificate_key(decode(said.body).certificate))
        applier.members = await self.store.write(lambda tx: take_statements(tx, [said]))
        self.tell("member_revoked", {"device": device})
        await self.driver.members_changed()
        names = await self.store.read(device_names)
        (shown,) = [
            item for item in revoked_views(applier.members, names) if item.id == device.hex()
        ]
        return Answer({"device_id": device.hex(), "name": shown.name, "at_ms": shown.at_ms})


def _find_member(connection: Connection, members: Membership, reference: str) -> bytes:
    """Return the device that a person means; one that never showed itself has a name all the same."""
    try:
        return find_device(connection, reference)
    except NotFoundError:
        said = [
            device_id(key)
            for key, member in members.members.items()
            if reference in (member.name, device_id(key).hex(), device_id(key).hex()[:8])
        ]
        if len(said) != 1:
            raise
        return said[0]


def revoked_views(
    members: Membership,
    names: Mapping[bytes, str],
    refused_ms: Mapping[bytes, int] | None = None,
    left_behind: Mapping[bytes, int] | None = None,
) -> list[RevokedView]:
    """Return what is to be shown of devices that are no members any more."""
    views = []
    for key, former in members.former.items():
        device, author = device_id(key), device_id(former.by)
        refused = (refused_ms or {}).get(device)
        views.append(
            RevokedView(
                device.hex(),
                names.get(device) or former.name or device.hex()[:8],
                names.get(author) or author.hex()[:8],
                str(min(max(former.at_ms, 0), _MAX_TIME_MS)),
                None if refused is None else str(refused),
                (left_behind or {}).get(device, 0),
            )
        )
    return sorted(views, key=lambda view: (view.name, view.id))


def revoked_json(views: list[RevokedView]) -> dict[str, dict[str, Any]]:
    """Return by whom and when each was revoked, by id, as lists of devices show it."""
    return {view.id: {"by": view.by, "at_ms": view.at_ms} for view in views}
