"""The state of the shared records takes effect once all of it is here, by whatever came last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.sync.errand import Errand
from leaderless.sync.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.sync.apply import Applier


class Taking(Errand[Outcome]):
    """Takes what is staged, if it is whole; a database that takes nothing is asked again."""

    def __init__(
        self,
        applier: Applier,
        own_device: bytes,
        took: Callable[[Outcome], None],
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        """Take with `applier`; `took` is called with what came of it."""
        super().__init__(applier.take_staged, took, own_device, tell)
