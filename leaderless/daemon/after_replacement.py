"""After a damaged database was replaced: how long this device waits for others who know more of it.

Until it goes on it writes nothing of its own. Who knows more gives it back, which ends the wait
(store/restoring.py); whoever comes later finds it gone on in a new incarnation.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from leaderless.identity import device_id
from leaderless.protocol.commands import Key, Stream
from leaderless.store import restoring
from leaderless.store.disk import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.protocol.membership import Membership
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver

WAIT_S: Final = 30.0
"""For members that are not connected: who runs is found within seconds."""
LOOK_S: Final = 0.25
"""Between two looks, while there is something to wait for."""


async def wait_for_peers(
    store: Store,
    driver: Driver,
    members: Callable[[], Membership],
    tell: Callable[[str, Mapping[str, object]], None],
    wait_s: float = WAIT_S,
) -> None:
    """Have a replaced device go on once nobody is there who knows more of it; else return at once.

    It waits `wait_s` for members that are not there, and without end for what is being given back.
    """
    until = trio.current_time() + wait_s
    while True:
        # A disk that fails is waited for by others; here it is tried again.
        with suppress(DiskError):
            if not await store.read(restoring.waits):
                return
            said = _have_said(driver, members()) or trio.current_time() >= until
            if said and not any(_know_more(driver, store.own_device)):
                begun = await store.write(restoring.go_on_as_replaced)
                if begun is not None:
                    tell("restored", {"from": store.own_device, "generation": begun.generation})
        await trio.sleep(LOOK_S)


def _have_said(driver: Driver, members: Membership) -> bool:
    """Return whether every other member is connected and has said what it holds."""
    known = {peer.device for peer in driver.exchange.peers.values() if peer.known}
    others = {device_id(key) for key in members.members} - {driver.store.own_device}
    return others <= known


def _know_more(driver: Driver, own: bytes) -> list[bool]:
    """Return of each peer whether it holds more of our own rows than we do."""
    ours, key = driver.exchange.ours.vectors, Key(Stream.STATE, own)
    return [key in peer.ahead(ours) for peer in driver.exchange.peers.values() if peer.known]
