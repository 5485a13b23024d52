"""When something is forgotten: in the background, piece by piece, and only if there is news.

One pass takes in what headers prove, looks which commits are left in records, and drops what may go;
every step is a short transaction of its own, so edits pass in between and a stop loses nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import trio

from leaderless.errors import LeaderlessError
from leaderless.protocol.retention import Terms
from leaderless.store import forgetting, own_words, tombstones
from leaderless.store.forgetting import At

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sqlalchemy import Connection

    from leaderless.config import Config
    from leaderless.store import Store, Transaction
    from leaderless.store.forgetting import Key, Survey

_T = TypeVar("_T")

FIRST_S: Final = 120.0
"""From the start to the first look: whoever is near has connected and said what it has."""
LOOK_S: Final = 900.0
PAUSE_S: Final = 0.02
"""Between two pieces: others' turn, at the disk and in this process."""
DAY_MS: Final = 24 * 3_600 * 1_000
WORTH: Final = 256
"""Bodies that came since the last pass from which on another one is worth looking through all records;
once a day it is made anyway."""


class Forgot(NamedTuple):
    """What a pass has dropped."""

    bodies: int = 0
    losses: int = 0
    tombstones: int = 0

    @property
    def anything(self) -> bool:
        """Return whether there was something to drop."""
        return any(self)


def terms_of(config: Config) -> Terms:
    """Return how long people may reach back, by the configuration."""
    return Terms(
        config.history_days * DAY_MS,
        config.history_commits,
        config.lease_days * DAY_MS,
        config.journal_days * DAY_MS,
    )


class Forgetting:
    """Sees to it that a store does not grow for ever."""

    def __init__(
        self,
        store: Store,
        terms: Terms,
        others: Callable[[], Collection[bytes]],
        connected: Callable[[], Collection[bytes]],
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        """Forget in `store`; `others` are all members but this device, `connected` those near."""
        self._store = store
        self._terms = terms
        self._others = others
        self._connected = connected
        self._tell = tell
        self._others_writes = 1
        self._seen_writes = 0
        self._done_ms = 0
        self._left = 0
        store.listen(self._wrote)

    def _wrote(self) -> None:
        self._others_writes += 1

    async def _write(self, fn: Callable[[Transaction], _T]) -> _T:
        """Write, without taking that for news."""
        result = await self._store.write(fn)
        self._others_writes -= 1
        await trio.sleep(PAUSE_S)
        return result

    async def _read(self, fn: Callable[[Connection], _T]) -> _T:
        result = await self._store.read(fn)
        await trio.sleep(PAUSE_S)
        return result

    async def keep(self) -> None:
        """Make a pass whenever there is news, for ever."""
        await trio.sleep(FIRST_S)
        while True:
            now_ms = self._store.now_ms()
            # Without a write only time can make something go, and that is counted in days.
            if self._others_writes != self._seen_writes or now_ms - self._done_ms >= DAY_MS:
                try:
                    forgot = await self.run()
                except LeaderlessError as error:
                    # A disk that is full or failing is told of elsewhere; it is tried again.
                    self._tell("not_forgotten", {"why": error.message})
                else:
                    if forgot.anything:
                        self._tell("forgot", forgot._asdict())
            await trio.sleep(LOOK_S)

    async def run(self, *, whole: bool = False) -> Forgot:
        """Make one pass; with `whole` also if little has come since the last."""
        now_ms, news = self._store.now_ms(), self._others_writes
        while await self._write(lambda tx: forgetting.note_evidence(tx.conn)):
            pass
        others = frozenset(self._others())
        connected = frozenset(self._connected())
        lease_ms = self._terms.lease_ms
        away = await self._read(
            lambda c: forgetting.away_since(c, others, connected, now_ms, lease_ms)
        )
        holding = others - set(away)
        known = await self._read(lambda c: forgetting.survey(c, holding, self._terms, now_ms))
        is_day = now_ms - self._done_ms >= DAY_MS
        had = await self._read(lambda c: forgetting.remembered(c, known.newest))
        bodies = 0
        if whole or had - self._left >= WORTH or (is_day and had):
            bodies = await self._bodies(known)
            self._left = had - bodies
        losses = await self._losses(now_ms, known) if whole or is_day else 0
        buried = await self._tombstones(holding)
        if whole or is_day:
            await self._write(lambda tx: own_words.prune(tx.conn))
        if is_day:
            self._done_ms = now_ms
        self._seen_writes = news
        return Forgot(bodies, losses, buried)

    async def _bodies(self, known: Survey) -> int:
        """Drop bodies that may go; return how many."""
        record: Key | None = ("", b"")
        while record is not None:
            step = partial(forgetting.mark_records, into=known.retention.in_effect, after=record)
            record = await self._read(step)
        at: At | None = At()
        while at is not None:
            at = await self._read(partial(forgetting.mark_replaced, known=known, after=at))
        at, bodies = At(), 0
        while at is not None:
            gone, at = await self._write(partial(_drop_bodies, known=known, after=at))
            bodies += gone
        return bodies

    async def _losses(self, now_ms: int, known: Survey) -> int:
        """Drop what only people would still ask for, and have not for long."""
        terms = self._terms
        before = now_ms - terms.history_ms
        await self._write(lambda tx: forgetting.drop_replaced(tx.conn, before, known.newest))
        losses, gone = 0, 1
        while gone:
            gone = await self._write(
                lambda tx: forgetting.drop_journal(tx.conn, now_ms - terms.journal_ms)
            )
            losses += gone
        return losses

    async def _tombstones(self, holding: Collection[bytes]) -> int:
        """Drop tombstones of ours that all have, and of others that their owners have dropped."""
        registry, own = self._store.registry, self._store.own_device
        dropped, gone = 0, 1
        while gone:
            gone = await self._write(lambda tx: tombstones.drop_own(tx, holding))
            gone += await self._write(lambda tx: tombstones.drop_copied(tx.conn, registry, own))
            dropped += gone
        return dropped


def _drop_bodies(transaction: Transaction, known: Survey, after: At) -> tuple[int, At | None]:
    return forgetting.drop_bodies(transaction.conn, known, after)
