"""A restored device goes on in a new incarnation, once the exchange says that it may."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from leaderless.store import restoring
from leaderless.store.disk import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.store.store import Store


class GoingOn:
    """Waits to be asked, and goes on then."""

    def __init__(
        self,
        store: Store,
        tell: Callable[[str, Mapping[str, object]], None],
        nonce: Callable[[], bytes],
    ) -> None:
        """Go on with `store`; `nonce` names the incarnation."""
        self._store = store
        self._tell = tell
        self._nonce = nonce
        self._asked = trio.Event()

    def ask(self) -> None:
        """Have the device go on, if it takes its rows back; asked twice is asked once."""
        self._asked.set()

    async def keep(self) -> None:
        """Go on whenever it is asked; a disk that takes nothing is told of, and asked for again."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            write = partial(restoring.go_on_as_restored, nonce=self._nonce())
            own = self._store.own_device
            try:
                begun = await self._store.write(write)
            except DiskError as error:
                self._tell("not_kept", {"device": own, "code": error.code})
                continue
            if begun is not None:
                generation = begun.incarnation.generation
                about = {"from": own, "generation": generation, **begun.regained._asdict()}
                self._tell("restored", about)
