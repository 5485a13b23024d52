"""The store: one writer, some readers, and a word to whoever waits for changes.

Reads and writes are functions over a connection; they run in worker threads (or as the given runner
has it), one write at a time, each in one transaction. Nothing here knows what the functions are for.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import trio
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from leaderless.clock import wall_ms
from leaderless.errors import LeaderlessError, said_on_purpose
from leaderless.protocol import hashing
from leaderless.protocol.membership import membership_of
from leaderless.store import engine, log, meta, relayed, starts, state
from leaderless.store.adoption import adopt
from leaderless.store.bare import Kept
from leaderless.store.calm import Calm
from leaderless.store.disk import Disk, DiskError, from_system, naming, probe
from leaderless.store.progress import Progress
from leaderless.store.pulse import Pulse
from leaderless.store.restoring import after_replacement, begin_run
from leaderless.store.statements import keep_statements, statements
from leaderless.store.transaction import Transaction
from registry.errors import ApplyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from leaderless.clock import Clock
    from leaderless.ids import RecordIds
    from leaderless.protocol.membership import Membership, Signed
    from registry.changes import Incarnation
    from registry.models import Registry

_T = TypeVar("_T")
_READERS = 3


class AlreadyThereError(LeaderlessError):
    """A library stands where one was to be made."""

    code = "already_there"


class Runner(Protocol):
    """Has blocking work done beside the event loop."""

    async def __call__(
        self, work: Callable[[], _T], /, *, limiter: trio.CapacityLimiter | None = None
    ) -> _T:
        """Return what `work` returns; once begun it is not cancelled."""


async def in_thread(
    work: Callable[[], _T], /, *, limiter: trio.CapacityLimiter | None = None
) -> _T:
    """Have a worker thread do it."""
    return await trio.to_thread.run_sync(work, limiter=limiter)


class Store:
    """An open library; made by `open_store`."""

    def __init__(
        self,
        path: Path,
        registry: Registry,
        clock: Clock,
        ids: RecordIds,
        sign: Callable[[bytes], bytes],
        pulse: Pulse | None = None,
        run: Runner = in_thread,
    ) -> None:
        self.path = path
        self.pulse = pulse or Pulse()
        self.registry = registry
        self.ids = ids
        self._clock = clock
        self._sign = sign
        self._run = run
        self._writer = engine.writer_engine(path, self.pulse)
        self._write_lock = trio.Lock()
        self._turn = threading.Lock()
        self._writing = Kept(self._writer)
        self._idle_readers = [Kept(engine.reader_engine(path)) for _ in range(_READERS)]
        self._readers = trio.CapacityLimiter(_READERS)
        self._writers = trio.CapacityLimiter(1)
        self._listeners: list[Callable[[], None]] = []
        self._followers: list[tuple[Callable[[Connection], Any], Callable[[Any], None]]] = []
        self.progress = Progress()
        self.disk = Disk()
        self.calm = Calm()
        self.failed: dict[str, str] = {}  # models that could not be used here, and why
        self.own_device = b""
        self.own_epoch = 0
        self.library = b""
        self.lives = 0
        """How often it was read what this file is: rows may be others than before it."""

    def load(self) -> None:
        """Bring the schema up to date and read what this file is. Blocks; call before anything."""
        with naming(self.path):
            engine.migrate(self._writer, self.path)
            with self._writer.begin() as connection:
                self.registry, self.failed = adopt(connection, self.registry, self.now_ms())
                # What waited for this version.
                log.apply_ready(connection, self.registry, self.now_ms())
            self._load_facts()
        if self.library:
            with suppress(DiskError):
                # A disk that takes nothing stops nobody from reading.
                self.write_here(starts.note)
                self.write_here(begin_run)
            self.write_here(after_replacement)
            self.write_here(lambda tx: relayed.doubt(tx.conn, self.registry, self.own_device))

    def _load_facts(self) -> None:
        with self._writer.connect() as connection:
            self._know(_facts(connection))

    def _know(self, facts: tuple[bytes, int, bytes]) -> None:
        self.lives += 1
        self.own_device, self.own_epoch, self.library = facts

    def close(self) -> None:
        """Close every connection; the write-ahead log is folded in by the writer's."""
        for reader in self._idle_readers:
            reader.dispose()
        self._writing.dispose()

    def now_ms(self) -> int:
        """Return the wall clock in milliseconds."""
        return wall_ms(self._clock)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` (in the event loop, it must not block) after every write."""
        self._listeners.append(listener)

    def follow(self, look: Callable[[Connection], _T], told: Callable[[_T], None]) -> None:
        """Have `look` done after every write, in its thread and before any other.

        `told` gets what it returned, as a listener is called; it hears nothing of a write after which
        the disk let nobody read.
        """
        self._followers.append((look, told))

    async def read(self, fn: Callable[[Connection], _T]) -> _T:
        """Run `fn` on a read-only connection, in one snapshot."""

        def run() -> _T:
            reader = self._idle_readers.pop()
            try:
                with naming(self.path), reader.begin() as connection:
                    return fn(connection)
            finally:
                self._idle_readers.append(reader)

        try:
            return await self._run(run, limiter=self._readers)
        except DiskError as error:
            self.disk.failed(error, self.now_ms())
            raise

    async def read_each(self, fns: Iterable[Callable[[Connection], _T]]) -> list[_T]:
        """Run each on a connection of its own, beside the others, in a snapshot of its own."""
        found: dict[int, _T] = {}

        async def read(number: int, fn: Callable[[Connection], _T]) -> None:
            found[number] = await self.read(fn)

        try:
            async with trio.open_nursery() as nursery:
                for number, fn in enumerate(fns):
                    nursery.start_soon(read, number, fn)
        except BaseExceptionGroup as group:
            error = said_on_purpose(group)
            if error is None:
                raise
            raise error from group
        return [found[number] for number in sorted(found)]

    async def write(self, fn: Callable[[Transaction], _T]) -> _T:
        """Run `fn` in the one write transaction; returns once it is durable.

        If `fn` raises, nothing has changed. Raises DiskError if the disk does not take it.
        """
        return (await self._written(fn))[0]

    async def _written(self, fn: Callable[[Transaction], _T]) -> tuple[_T, bool]:
        """Return what `write` does, and whether the disk let those who follow look at it.

        If not, they hear of it with the next write, as the disk is tried again until that is so.
        """
        followers = tuple(self._followers)
        soon = trio.lowlevel.current_trio_token().run_sync_soon

        def run() -> tuple[_T, list[Any] | DiskError]:
            looks = [look for look, _ in followers]
            return self._write(fn, looks, lambda: self.calm.begin_from(soon))

        async with self._write_lock:
            self.calm.end()
            try:
                result, seen = await self._run(run, limiter=self._writers)
            except DiskError as error:
                self.disk.failed(error, self.now_ms())
                raise
            finally:
                self.calm.begin()
        # In the order of the writes: nothing waits between the end of one and this.
        if isinstance(seen, DiskError):
            self.disk.failed(seen, self.now_ms())
        else:
            for (_, told), what in zip(followers, seen, strict=True):
                told(what)
        for listener in self._listeners:
            listener()
        return result, not isinstance(seen, DiskError)

    def write_here(self, fn: Callable[[Transaction], _T]) -> _T:
        """Do what `write` does in the calling thread, once no other writes; listeners hear nothing.

        For start-up and for tools without a loop.
        """
        return self._write(fn, (), lambda: None)[0]

    def _write(
        self,
        fn: Callable[[Transaction], _T],
        looks: Sequence[Callable[[Connection], Any]],
        commits: Callable[[], None],
    ) -> tuple[_T, list[Any] | DiskError]:
        """Return what `fn` returned, and what was seen once that was durable, or why it was not."""
        with self._turn:
            with naming(self.path):
                result = self._transact(fn, commits)
            if not looks:
                return result, []
            try:
                with naming(self.path), self._writing.begin() as connection:
                    return result, [look(connection) for look in looks]
            except DiskError as error:
                return result, error  # what was written is durable all the same

    def _transact(self, fn: Callable[[Transaction], _T], commits: Callable[[], None]) -> _T:
        try:
            with self._writing.begin() as connection:
                self.progress.begin()
                transaction = Transaction(
                    connection,
                    self.registry,
                    self._sign,
                    self.now_ms(),
                    self._command_id,
                    self.progress,
                )
                result = fn(transaction)
                transaction.finish()
                facts = _facts(connection) if transaction.facts_changed else None
                commits()
        except IntegrityError as error:
            raise engine.ConstraintError(f"refused by the schema: {error.orig}") from error
        except SQLAlchemyError as error:
            raise _cannot_be_written(error) from error
        except ApplyError as error:
            # A full or failing disk is not the fault of what was to be applied, nor of its sender.
            if isinstance(error.__cause__, OperationalError):
                raise _cannot_be_written(error.__cause__) from error
            raise
        if facts is not None:
            self._know(facts)
        return result

    def fold(self) -> None:
        """Write what stands in the write-ahead log to the file, and empty the log. Blocks.

        Raises sqlite3.Error.
        """
        with self._turn:
            engine.fold(self._writer)

    async def heal(self) -> bool:
        """Say that the disk is well if there is room for more than a little, and a write succeeds.

        What stands in the write-ahead log is folded in first: it may be all that lacks room.
        """

        def run() -> None:
            with suppress(sqlite3.Error, SQLAlchemyError):
                self.fold()
            refused = probe(self.path)
            if refused is not None:
                raise from_system(refused, self.path)

        try:
            await self._run(run)
            _, is_seen = await self._written(
                lambda tx: meta.put(tx.conn, meta.DISK_TRIED, tx.now_ms)
            )
        except DiskError as error:
            self.disk.failed(error, self.now_ms())
            return False
        return is_seen and self.disk.recovered()

    def _command_id(self) -> bytes:
        """Return an id that differs from others at its ends, as people tell actions by these."""
        return hashing.digest(self.ids.new())[:16]

    async def membership(self, key_of: Callable[[bytes], bytes]) -> Membership:
        """Return who is a member by the statements that are kept here."""
        said = await self.read(statements)
        return membership_of(self.library, said, key_of)


def _facts(connection: Connection) -> tuple[bytes, int, bytes]:
    """Return what a file is: its device, the local key of that device's incarnation, its library."""
    names = (meta.OWN_DEVICE, meta.OWN_EPOCH, meta.LIBRARY)
    device, epoch, library = (meta.get(connection, name) for name in names)
    return device, epoch, library


def _cannot_be_written(error: SQLAlchemyError) -> engine.StoreError:
    """Return what to say, without the statement and the values in it: peers are told, too."""
    return engine.StoreError(f"the database cannot be written: {getattr(error, 'orig', error)}")


def create_store(
    path: Path,
    clock: Clock,
    device: bytes,
    incarnation: Incarnation,
    library: bytes,
    said: tuple[Signed, ...],
) -> None:
    """Make the file of a library of which this device is a member. Blocks.

    Raises AlreadyThereError and changes nothing if there is one.
    """
    if path.exists():
        raise AlreadyThereError(f"there is a library at {path} already")
    # What SQLite puts beside the file gets the file's mode.
    path.touch(mode=0o600)
    writer = engine.writer_engine(path)
    try:
        engine.migrate(writer, path)
        with writer.begin() as connection:
            epoch = state.add_incarnation(connection, device, incarnation)
            meta.put(connection, meta.OWN_DEVICE, device)
            meta.put(connection, meta.OWN_EPOCH, epoch)
            meta.put(connection, meta.LIBRARY, library)
            meta.put(connection, meta.SHARED_HASH, hashing.EMPTY_SET)
            keep_statements(connection, said, wall_ms(clock))
            digest = membership_of(library, said, lambda der: der).digest
            meta.put(connection, meta.MEMBERSHIP, digest)
    finally:
        writer.dispose()


@asynccontextmanager
async def open_store(
    path: Path,
    registry: Registry,
    clock: Clock,
    ids: RecordIds,
    sign: Callable[[bytes], bytes],
    pulse: Pulse | None = None,
    run: Runner = in_thread,
) -> AsyncIterator[Store]:
    """Open the library at `path`, upgrading its schema if need be; `pulse` beats meanwhile.

    `run` does what blocks.
    """
    store = Store(path, registry, clock, ids, sign, pulse, run)
    try:
        await run(store.load)
        yield store
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 10):
            await run(store.close)
