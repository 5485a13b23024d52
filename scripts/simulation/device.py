"""One simulated device: the real store, driver and dialer, that can be killed and started again.

What the process held in memory dies with it; what stays is the file as it was when the machine
stopped, with its write-ahead log, which is opened like any file after a crash.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import trio

from leaderless.clock import wall_ms
from leaderless.daemon.disk_watch import watch_disk
from leaderless.errors import LeaderlessError
from leaderless.identity import certificate_key, device_id
from leaderless.ids import RecordIds
from leaderless.store.store import open_store
from leaderless.sync.backoff import Backoff
from leaderless.sync.dialer import Dialer
from leaderless.sync.driver import open_sync
from scripts.simulation.behind import OldLine
from scripts.simulation.lies import Mouth

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Mapping

    from leaderless.identity import Identity
    from leaderless.store.store import Store
    from leaderless.sync.driver import Driver
    from registry.models import Registry
    from scripts.simulation.lies import Liar
    from scripts.simulation.network import End, Network

_T = TypeVar("_T")
START_MS = 1_800_000_000_000
_FULL = 2
BACKOFF = Backoff(1.0, 60.0)


class GoneError(Exception):
    """The device died before the work was done, or is not running."""


class UnforeseenError(Exception):
    """A link ended by an error that the product has no name for."""


@dataclass
class SimulatedClock:
    """A wall clock that is off by some ms and runs at a speed of its own."""

    offset_ms: int = 0
    speed: float = 1.0

    def wall_ns(self) -> int:
        """Return the time as this device believes it to be."""
        return int((START_MS + self.offset_ms + self.monotonic() * 1000 * self.speed) * 1_000_000)

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return trio.current_time()

    def boottime(self) -> float:
        """Return virtual seconds: these machines do not sleep."""
        return trio.current_time()


class Up(NamedTuple):
    """What runs while a device is up."""

    store: Store
    driver: Driver
    dialer: Dialer
    nursery: trio.Nursery
    scope: trio.CancelScope


class Device:
    """A device of the library; `up` is None while it does not run."""

    def __init__(
        self,
        index: int,
        name: str,
        identity: Identity,
        path: Path,
        registry: Registry,
        network: Network,
        chance: random.Random,
        batch_rows: int,
    ) -> None:
        self.index, self.name, self.identity = index, name, identity
        self.id = identity.device
        self.path = path
        self.registry = registry
        self.clock = SimulatedClock()
        self.dials: list[int] = []
        self.up: Up | None = None
        self.is_stopped = False
        """Whether it said that another machine runs as it, and nobody has claimed it since."""
        self.replaced = 0
        """How often its files were put in the place of others."""
        self.failure: BaseException | None = None
        self.on_write: Callable[[Device], None] = lambda _: None
        self.liar: Liar | None = None
        self.lied_until = -math.inf
        """When it was mended last: who was lied to does not ask it again at once."""
        self.is_behind = False
        """Whether a version of 1.0 runs there."""
        self.on_returning: Callable[[Device, str], None] = lambda *_: None
        """Called when it has taken its rows back, and when it goes on in a new incarnation."""
        self._network = network
        self._chance = chance
        self._batch_rows = batch_rows
        self._life = 0
        self._dead = False
        self._writes_left: int | None = None
        self._dies_after = False
        self._ended = trio.Event()

    # --- life -------------------------------------------------------------------------------------

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until the device dies; `failure` says why if it was its own doing."""
        self._life += 1
        self._dead, self._writes_left, self._ended = False, None, trio.Event()
        self._network.came_back(self)
        ids = RecordIds(self.clock, self._chance.randbytes(6))
        path = self.path
        try:
            with trio.CancelScope() as scope:
                async with (
                    open_store(
                        path, self.registry, self.clock, ids, self.identity.sign, run=self._run
                    ) as store,
                    open_sync(
                        store,
                        await store.membership(certificate_key),
                        "simulator",
                        self._tell,
                        partial(self._chance.randbytes, 8),
                        self._batch_rows,
                    ) as driver,
                    trio.open_nursery() as nursery,
                ):
                    store.listen(lambda: self.on_write(self))
                    dialer = self._new_dialer(driver)
                    nursery.start_soon(dialer.run)
                    nursery.start_soon(
                        watch_disk, store, self._chance.random, self._tell, partial(_again, driver)
                    )
                    self.up = Up(store, driver, dialer, nursery, scope)
                    task_status.started()
                    await trio.sleep_forever()
        except BaseExceptionGroup as errors:
            if not self._dead:
                self.failure = errors
        finally:
            if self.up is not None:
                self._network.killed(self)
            self.up = None
            if path != self.path:
                for gone in path.parent.glob(f"{path.name}*"):
                    gone.unlink()
            self._ended.set()

    def _new_dialer(self, driver: Driver) -> Dialer:
        async def dial(_: trio.Nursery, __: str, port: int) -> Mouth:
            return self._voice(await self._network.dial(self, port))

        dialer = Dialer(
            dial,
            driver.run_link,
            driver.connected,
            device_id,
            BACKOFF,
            self._chance.random,
            self._tell,
            driver.may_call,
        )
        for port in self.dials:
            dialer.suggest(f"device{port}", port, keep=True)
        return dialer

    def _voice(self, end: End) -> Mouth:
        return Mouth(OldLine(end, self) if self.is_behind else end, self)

    def answer(self, end: End) -> None:
        """Take a call."""
        if self.up is not None:
            self.up.nursery.start_soon(self._use, end)

    async def _use(self, end: End) -> None:
        if self.up is not None:
            await self.up.driver.run_link(self._voice(end))
        await end.aclose()

    async def call_again(self, port: int) -> None:
        """Dial a device whether it is connected or not, as a second address of it would."""
        try:
            end = await self._network.dial(self, port)
        except LeaderlessError:
            return
        await self._use(end)

    # --- death ------------------------------------------------------------------------------------

    def die(self, *, power: bool) -> None:
        """Stop here and now; what is durable is kept, and nothing else."""
        up = self.up
        if up is None:
            return
        # What a disk had not been told to keep is lost with the power: the log since the last fold.
        kept = ("",) if power and not _is_durable(up.store) else ("", "-wal")
        self._dead, self.up = True, None
        (self._network.lost_power if power else self._network.killed)(self)
        before, self.path = self.path, self.path.with_name(f"{self.name}-{self._life}.db")
        for suffix in kept:
            source = Path(f"{before}{suffix}")
            if source.exists():
                shutil.copyfile(source, f"{self.path}{suffix}")
        up.scope.cancel()

    def die_at_write(self, writes: int, *, after: bool) -> None:
        """Die at the writes-th commit from now, right before it is durable or right after."""
        self._writes_left, self._dies_after = writes, after

    def spare(self) -> None:
        """Do not die at the commits that were named."""
        self._writes_left = None

    async def ended(self) -> None:
        """Wait until nothing of a dead device runs any more."""
        if self._life:
            await self._ended.wait()

    # --- work -------------------------------------------------------------------------------------

    async def do(self, work: Callable[[Store], Awaitable[_T]]) -> _T:
        """Do something as a person at this device does; raises GoneError if it dies meanwhile."""
        if self.up is None:
            raise GoneError
        results: list[_T | LeaderlessError] = []
        done = trio.Event()
        store = self.up.store

        async def task() -> None:
            try:
                results.append(await work(store))
            except LeaderlessError as error:
                results.append(error)
            finally:
                done.set()

        self.up.nursery.start_soon(task)
        await done.wait()
        if not results:
            raise GoneError
        (result,) = results
        if isinstance(result, LeaderlessError):
            raise result
        return result

    async def _run(
        self, work: Callable[[], _T], /, *, limiter: trio.CapacityLimiter | None = None
    ) -> _T:
        """Do what blocks, here and now in program time, after and before some virtual time."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if limiter is None:  # opening and closing
            return work()
        async with limiter:
            await self._take_time()
            dies = False
            if limiter.total_tokens == 1 and self._writes_left is not None:
                self._writes_left -= 1
                dies = self._writes_left <= 0
            if dies and not self._dies_after:
                await self._die_here()
            result = work()
            if dies:
                await self._die_here()
            await self._take_time()
        return result

    async def _take_time(self) -> None:
        if self._chance.random() < 0.1:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._chance.uniform(0, 0.03))
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if self._dead:
            await trio.sleep_forever()  # it is cancelled

    async def _die_here(self) -> None:
        self.die(power=self._dies_after)
        await trio.sleep_forever()

    def _tell(self, kind: str, data: Mapping[str, object]) -> None:
        if not self._dead:
            # The folder of a run has another name each time.
            folder = str(self.path.parent)
            shown = {
                key: value.replace(folder, "") if isinstance(value, str) else value
                for key, value in data.items()
            }
            self._network.transcript.told(self.name, kind, shown)
            if kind == "cloned":
                self.is_stopped = True
            elif kind == "peer_error" and data["code"] == "bug":
                # The link is called anew, so nothing else might show it.
                self.failure = self.failure or UnforeseenError(str(data["why"]))
            elif kind in ("took_back", "restored"):
                self.on_returning(self, kind)

    def now_ms(self) -> int:
        """Return what this device takes the time for."""
        return wall_ms(self.clock)


async def _again(driver: Driver) -> None:
    """Ask anew for what was sent while the disk took nothing, as the daemon does."""
    driver.reconnect()
    await trio.lowlevel.checkpoint()


def _is_durable(store: Store) -> bool:
    """Return whether a commit of a store is on the disk once it is done (synchronous=FULL)."""
    synchronous = store.write_here(
        lambda tx: int(tx.conn.exec_driver_sql("PRAGMA synchronous").scalar_one())
    )
    return synchronous >= _FULL
