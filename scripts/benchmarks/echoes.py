"""What the network alone costs on loopback: TLS handshakes, and WebSocket messages there and back.

Two processes, as between two daemons: `python -m scripts.benchmarks.echoes FOLDER` answers each message
with itself, and says at which port.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from leaderless.identity import Identity, load_or_create
from leaderless.transport.base import ConnectionLostError
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import WebSocketLink, dial, open_listener
from scripts.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGE = b"x" * 200
_PAUSE_S = 0.5


def _trust(folder: Path, own: str) -> Trust:
    """Return who trusts both sides, as `own`."""
    sides: dict[str, Identity] = {
        name: load_or_create(folder / name) for name in ("caller", "called")
    }
    pins = {side.fingerprint: side.certificate_der for side in sides.values()}
    return Trust(sides[own], lambda: pins)


async def _echo(link: WebSocketLink) -> None:
    try:
        while True:
            await link.send(await link.receive())
    except ConnectionLostError:
        return


async def _serve(folder: Path) -> None:
    async with open_listener(_trust(folder, "called"), "127.0.0.1", 0, _echo) as listener:
        print(listener.port, flush=True)
        await trio.sleep_forever()


@contextmanager
def _called(folder: Path) -> Iterator[int]:
    """Have the other side run; give its port."""
    _trust(folder, "caller")
    command = [sys.executable, "-m", "scripts.benchmarks.echoes", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the other side says nothing")
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def pings(folder: Path, count: int) -> list[float]:
    """Return the seconds that each of so many messages takes there and back."""

    async def ask(port: int) -> list[float]:
        async with trio.open_nursery() as nursery:
            link = await dial(nursery, _trust(folder, "caller"), "127.0.0.1", port)
            taken = []
            for _ in range(count):
                began = time.perf_counter()
                await link.send(_MESSAGE)
                await link.receive()
                taken.append(time.perf_counter() - began)
            await link.aclose()
            nursery.cancel_scope.cancel()
        return taken

    with _called(folder) as port:
        return trio.run(ask, port)


def handshakes(folder: Path, count: int) -> tuple[list[float], float]:
    """Return the seconds that each of so many calls takes until it could be used, and its bytes.

    With its end: all that an answered call costs if nothing is said.
    """
    relay = Relay()

    async def ask() -> list[float]:
        taken = []
        for _ in range(count):
            async with trio.open_nursery() as nursery:
                began = time.perf_counter()
                link = await dial(nursery, _trust(folder, "caller"), "127.0.0.1", relay.port)
                taken.append(time.perf_counter() - began)
                await link.aclose()
                nursery.cancel_scope.cancel()
        return taken

    with _called(folder) as relay.target:
        taken = trio.run(ask)
        time.sleep(_PAUSE_S)
    return taken, relay.bytes_forwarded / count


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]))
