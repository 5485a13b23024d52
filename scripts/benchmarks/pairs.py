"""Two real daemons on loopback, of homes that are copied from a template for every run."""

from __future__ import annotations

import json
import random
import re
import shutil
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

import trio

from leaderless.cli.client import Client
from leaderless.config import find_paths
from leaderless.errors import UnreachableError
from scripts.benchmarks.filling import fill, opened
from scripts.device import Device, pair
from scripts.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.relay import Relay

PATIENCE_S: Final = 1_800.0
_SEED: Final = 1
_IMPATIENT: Final = "reconnect_min_s = 0.05\nreconnect_max_s = 0.2\n"
_LISTENS: Final = re.compile(r"^listen_port = (\d+)$", re.MULTILINE)
_CALLED: Final = re.compile(r'^peers = \["127.0.0.1:(\d+)"\]$', re.MULTILINE)


class Pair:
    """Two homes of one library; the second calls the first."""

    def __init__(self, base: Path, *, is_made: bool = False) -> None:
        """Take the homes below a folder, or have them made there."""
        self.base = base
        ports = [] if is_made else [free_port(), free_port()]
        options = (
            [None, None]
            if is_made
            else [options_of(*ports), options_of(*reversed(ports), calls=True)]
        )
        self.first, self.second = (
            Device(base / name, name, option)
            for name, option in zip(("first", "second"), options, strict=True)
        )

    def _settings(self) -> list[Path]:
        homes = [device.home for device in (self.first, self.second)]
        return [home / "config" / "leaderless.toml" for home in homes]

    def port_of_second(self) -> int:
        """Return where the second listens."""
        return int(_LISTENS.findall(self._settings()[1].read_text())[-1])

    def call_through(self, relay: Relay) -> None:
        """Have the second reach the first through a relay alone."""
        relay.target = free_port()
        called, calls = self._settings()
        # Where it was last reached is remembered: nobody is there any more.
        was = _CALLED.findall(calls.read_text())[-1]
        _replace(called, f"listen_port = {was}\n", f"listen_port = {relay.target}\n")
        _replace(calls, f'"127.0.0.1:{was}"', f'"127.0.0.1:{relay.port}"')

    def call_seldom(self) -> None:
        """Have both call as often as where nothing is set, not within moments."""
        for path in self._settings():
            _replace(path, _IMPATIENT, "")

    def stop(self) -> None:
        """Stop both daemons."""
        for device in (self.first, self.second):
            device.stop()

    def __enter__(self) -> Self:
        """Use the pair."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the daemons, and remove their homes."""
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def options_of(own: int, other: int, *, calls: bool = False) -> str:
    """Return the configuration of a device that listens at a port, and calls another one if it does."""
    peers = f'"127.0.0.1:{other}"' if calls else ""
    return (
        f'listen_host = "127.0.0.1"\nlisten_port = {own}\nmdns = false\npeers = [{peers}]\n'
        f'advertise = ["127.0.0.1:1"]\n{_IMPATIENT}'
    )


def client(device: Device) -> Client:
    """Return whoever asks a daemon through its socket, without a process for each question."""
    return Client(find_paths(str(device.home), {}), lambda: "leaderless serve")


class Events:
    """What a daemon tells from now on, with the time at which it is heard here, in seconds."""

    def __init__(self, device: Device) -> None:
        self._heard: SimpleQueue[tuple[float, dict[str, Any]]] = SimpleQueue()
        self._client = client(device)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for line in self._client.lines("/v1/events"):
                self._heard.put((time.perf_counter(), json.loads(line)))
        except (UnreachableError, OSError):
            return  # the daemon has stopped

    def wait(self, kind: str, timeout_s: float = PATIENCE_S) -> float:
        """Return when the next event of a kind was heard; what comes before it is passed over."""
        while True:
            at, event = self._heard.get(timeout=timeout_s)
            if event["kind"] == kind:
                return at


class Templates:
    """Pairs that are made once, and copied for each run."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Keep them below a folder; `say` hears what takes long."""
        self._folder = folder
        self._say = say
        self._runs = 0

    def behind(self, rows: int, *, hashed: bool = True) -> Pair:
        """Return a pair of which the first holds so many entries that the second has not heard of."""
        name = f"behind-{rows}-{'hashed' if hashed else 'shallow'}"
        return self._copied(name, lambda base: self._make_behind(base, rows, hashed=hashed))

    def equal(self, rows: int) -> Pair:
        """Return a pair that holds the same entries of the first, proved."""
        return self._copied(f"equal-{rows}", lambda base: self._make_equal(base, rows))

    def _copied(self, name: str, make: Callable[[Path], None]) -> Pair:
        made = self._folder / name
        if not made.exists():
            self._say(f"making {name}")
            making = made.with_suffix(".new")
            shutil.rmtree(making, ignore_errors=True)
            make(making)
            making.rename(made)
        self._runs += 1
        base = self._folder / f"run{self._runs}"
        shutil.copytree(made, base, ignore=shutil.ignore_patterns("*.sock"))
        return Pair(base, is_made=True)

    def _make_behind(self, base: Path, rows: int, *, hashed: bool) -> None:
        made = Pair(base)
        try:
            made.first.start()
            made.second.start()
            pair(made.first, made.second, "127.0.0.1")
            made.second.run("wait", "--synced", "--timeout", "60")
        finally:
            made.stop()
        trio.run(_fill, made.first.home, rows, hashed)

    def _make_equal(self, base: Path, rows: int) -> None:
        with self.behind(rows) as made:
            made.second.start()
            events = Events(made.second)
            made.first.start()
            events.wait("proved")
            made.stop()
            made.base.rename(base)


async def _fill(home: Path, rows: int, hashed: bool) -> None:  # noqa: FBT001 - trio.run
    chance = random.Random(_SEED)  # noqa: S311 - has to be repeatable
    async with opened(home) as store:
        fill(store, chance, rows, hashed=hashed)
