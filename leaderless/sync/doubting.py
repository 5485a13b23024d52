"""Shared records that most others hold otherwise are noted as such, once the exchange says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.store import givers
from leaderless.store.disk import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.store.store import Store


async def doubt(store: Store, tell: Callable[[str, Mapping[str, object]], None]) -> None:
    """Note that the records here are to be replaced, and tell of it.

    That a disk takes nothing is told, too: as long as most hold other ones, it is asked for again.
    """
    own = store.own_device
    try:
        is_new = await store.write(lambda tx: givers.doubt(tx.conn))
    except DiskError as error:
        tell("not_kept", {"device": own, "code": error.code})
        return
    if is_new:
        tell("records_doubted", {"device": own})
