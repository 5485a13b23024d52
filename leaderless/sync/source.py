"""What one peer asked for, read from the database: one batch after the other, as there is room."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from leaderless.protocol import codec
from leaderless.protocol.batches import in_columns
from leaderless.protocol.commands import Read, Stream
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.messages import SENDS_RECORDS, LogBatch
from leaderless.store import log, record_source, state_source
from leaderless.sync.outbox import ROOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection as Database

    from leaderless.protocol.commands import Key, Load
    from leaderless.store.store import Store
    from leaderless.sync.outbox import Outbox
    from registry.models import Registry

_MANY: Final = 16
"""Rows that have something in common, as a rule."""


def read_stream(
    database: Database,
    registry: Registry,
    own_device: bytes,
    key: Key,
    after: int,
    sent: set[bytes],
    batch_rows: int = BATCH_ROWS,
    known: bytes = b"",
    *,
    columns: bool = False,
) -> Read | None:
    """Return the next batch of a stream as a frame, None if there is nothing to say.

    `sent` are the ancestors that went out ahead; those of this batch are added. `known` names a word
    of the owner that is left out where there is nothing else to say; with `columns` many rows are sent
    as columns.
    """
    if key.stream is Stream.RECORDS:
        records = record_source.read_records(database, key.of, batch_rows)
        return Read(1, 1, *codec.encode_sized(records))
    if key.stream is Stream.STATE:
        state = state_source.read_batch(database, registry, key.of, after, sent, batch_rows)
        if state is None and key.of != own_device:
            state = state_source.nothing_more(database, key.of, after, known)
        if state is None:
            return None
        is_many = columns and sum(len(change.rows) for change in state.changes) >= _MANY
        packed = in_columns(state) if is_many else None
        return Read(state.hi, state.head, *codec.encode_sized(packed or state))
    batch = log.read_log(database, key.of, after)
    if batch is None and key.of[:16] != own_device:
        batch = LogBatch(key.of, after, 0, ())
    if batch is None:
        return None
    # A body is never empty: that one was forgotten, which 1.0 takes for a wrong commit.
    whole = all(commit.body for commit in batch.commits)
    sized = codec.encode_sized(batch)
    reaches = batch.after + len(batch.commits)
    return Read(reaches, batch.head, *sized, (1, 0) if whole else SENDS_RECORDS)


class Source:
    """The streams to one peer. `ask` never waits, so what decides can call it."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        fresh: Callable[[Key, int], Read | None],
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """Read from `store` what `fresh` has not at hand: the next batch of a stream after a place."""
        self._store = store
        self._fresh = fresh
        self._batch_rows = batch_rows
        self._outbox = outbox
        # Of each stream the newest question alone: a peer that asks again and again adds nothing.
        self._wanted: dict[Key, Load] = {}
        self._asked = trio.Event()
        self._behind = 0
        self._may_go_on = trio.Event()
        # Per owner, the ancestors that went out ahead since the peer asked for that owner last.
        self._sent_ahead: dict[bytes, set[bytes]] = {}

    def ask(self, load: Load) -> None:
        """Have a batch read."""
        self._wanted[load.key] = load
        self._asked.set()

    def start_over(self, owner: bytes) -> None:
        """The peer asks for an owner anew: it may have dropped what was sent ahead before."""
        self._sent_ahead.pop(owner, None)

    @contextmanager
    def behind(self) -> Iterator[None]:
        """Read nothing more until something else, which is to come first, is on its way."""
        self._behind += 1
        try:
            yield
        finally:
            self._behind -= 1
            self._may_go_on.set()
            self._may_go_on = trio.Event()

    async def run(self, loaded: Callable[[Key, Read | None], None]) -> None:
        """Read for ever; `loaded` gets the stream and what was read of it, None for nothing."""
        while True:
            await self._outbox.below(ROOM_BYTES)
            while self._behind:
                await self._may_go_on.wait()
            if not self._wanted:
                await self._asked.wait()
                self._asked = trio.Event()
                continue
            load = self._wanted.pop(next(iter(self._wanted)))
            found = self._fresh(load.key, load.after) or await self._read(load)
            if load.key not in self._wanted:  # else it was asked for anew, from elsewhere
                loaded(load.key, found)

    async def _read(self, load: Load) -> Read | None:
        registry, own, key = self._store.registry, self._store.own_device, load.key
        # A list that is started over while this is read is another one.
        sent = self._sent_ahead.setdefault(key.of, set()) if key.stream is Stream.STATE else set()

        read = await self._store.read(
            lambda database: read_stream(
                *(database, registry, own, key, load.after, sent, self._batch_rows, load.known),
                columns=load.columns,
            )
        )
        if not sent and self._sent_ahead.get(key.of) is sent:
            del self._sent_ahead[key.of]  # a peer may ask for owners that there are not, for ever
        return read
