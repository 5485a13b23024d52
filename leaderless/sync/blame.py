"""Whom the exchange is to believe less, after what they sent; told to people, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Key, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.protocol.exchange import Exchange
    from leaderless.sync.outcome import Outcome

FORGED: Final = "its rows were not what their owner had signed"
UNFIT: Final = "its rows did not fit those that were proved here"


class Blame:
    """Tells the exchange and the people who did wrong."""

    def __init__(
        self, exchange: Callable[[], Exchange], tell: Callable[[str, Mapping[str, object]], None]
    ) -> None:
        """Blame in the exchange that `exchange` returns."""
        self._exchange = exchange
        self._tell = tell

    def by(self, outcome: Outcome, now: float) -> None:
        """Blame whoever an outcome names."""
        exchange = self._exchange()
        for owner, device in outcome.distrusted:
            self.distrust(device, Key(Stream.STATE, owner), FORGED, now)
        for owner, device in outcome.unfit:
            self.distrust(device, Key(Stream.STATE, owner), UNFIT, now, only_now=True)
        for owner, device in outcome.suspects:
            key, link = Key(Stream.STATE, owner), exchange.link_to(device)
            exchange.fetching.suspect(device, key, link, now)
        for device in sorted(outcome.altered):
            exchange.fetching.trust.altered_records(device, now)
            self._tell("records_altered", {"device": device})
        if outcome.disagrees is not None:
            exchange.fetching.trust.disagreed(outcome.disagrees, now)

    def distrust(
        self, device: bytes, key: Key, why: str, now: float, *, only_now: bool = False
    ) -> None:
        """Have a device asked no more for a stream, as long as `Fetching.distrust` says."""
        exchange = self._exchange()
        link = exchange.link_to(device)
        exchange.fetching.distrust(device, key, link, why, now, only_now=only_now)
        self._tell("distrusted", {"device": device, "of": key.of[:16], "why": why})
