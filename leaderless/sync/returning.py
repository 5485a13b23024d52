"""A restored device goes on in a new incarnation, once the exchange says that it may."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from leaderless.store import restoring
from leaderless.store.restoring import GoneOn
from leaderless.sync.errand import Errand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.store.store import Store


class GoingOn(Errand[GoneOn | None]):
    """Has the device go on, if it takes its rows back; a database that takes nothing is asked again."""

    def __init__(
        self,
        store: Store,
        tell: Callable[[str, Mapping[str, object]], None],
        nonce: Callable[[], bytes],
    ) -> None:
        """Go on with `store`; `nonce` names the incarnation."""
        super().__init__(self._go_on, self._say, store.own_device, tell)
        self._store = store
        self._nonce = nonce

    async def _go_on(self) -> GoneOn | None:
        return await self._store.write(partial(restoring.go_on_as_restored, nonce=self._nonce()))

    def _say(self, begun: GoneOn | None) -> None:
        if begun is not None:
            generation = begun.incarnation.generation
            about = {"from": self._own_device, "generation": generation}
            self._tell("restored", {**about, **begun.regained._asdict()})
