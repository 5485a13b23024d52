"""Real daemons of one library, connected as a topology says: `a-b b-c` is a line of three.

Devices know the addresses of their neighbours alone, so what is not connected stays apart.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scripts.device import Device, pair
from scripts.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

# A port that nobody listens at: what a device names as its own address, so that others do not call it.
_NOWHERE = "127.0.0.1:1"


def parse_topology(edges: list[str]) -> list[tuple[str, str]]:
    """Return the pairs in `a-b b-c`; each device after the first stands in an earlier pair."""
    pairs: list[tuple[str, str]] = []
    known: set[str] = set()
    for edge in edges:
        first, dash, second = edge.partition("-")
        if not first or not dash or not second or first == second:
            raise ValueError(f"{edge} is no pair such as a-b")
        if known and first not in known and second not in known:
            raise ValueError(f"{edge} is not connected to what stands before it")
        known |= {first, second}
        pairs.append((first, second))
    return pairs


class Cluster:
    """Daemons that know their neighbours alone; `interpreters` are those of some, by name."""

    def __init__(
        self,
        base: Path,
        edges: list[tuple[str, str]],
        interpreters: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._base = base
        self._edges = edges
        names = list(dict.fromkeys(name for edge in edges for name in edge))
        self._ports = {name: free_port() for name in names}
        self.devices: dict[str, Device] = {}
        for name in names:
            interpreter = interpreters.get(name, sys.executable)
            self.devices[name] = Device(
                base / name, name, self._options(name), interpreter=interpreter
            )

    def _options(self, name: str) -> str:
        # The second of a pair calls the first.
        peers = ", ".join(
            f'"127.0.0.1:{self._ports[first]}"' for first, second in self._edges if second == name
        )
        return (
            f'listen_host = "127.0.0.1"\nlisten_port = {self._ports[name]}\nmdns = false\n'
            f'advertise = ["{_NOWHERE}"]\npeers = [{peers}]\n'
            "reconnect_min_s = 0.2\nreconnect_max_s = 1.0\n"
        )

    def start(self) -> None:
        """Start every daemon and pair along the edges."""
        members: set[str] = set()
        for device in self.devices.values():
            device.start()
        for first, second in self._edges:
            host, joiner = (first, second) if first in members or not members else (second, first)
            if joiner not in members:
                pair(self.devices[host], self.devices[joiner], "127.0.0.1")
            members |= {host, joiner}

    def stop(self) -> None:
        """Stop every daemon."""
        for device in self.devices.values():
            device.stop()


def main() -> int:
    """Run a cluster until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="scripts/devcluster", description=__doc__)
    parser.add_argument("edges", nargs="+", metavar="A-B")
    parser.add_argument(
        "--keep", metavar="DIR", help="keep the homes here (default: a temporary one)"
    )
    arguments = parser.parse_args()
    try:
        edges = parse_topology(arguments.edges)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="leaderless-") as temporary:
        cluster = Cluster(Path(arguments.keep or temporary), edges)
        try:
            cluster.start()
            for name, device in cluster.devices.items():
                print(f"{name}: {' '.join(device.command('status'))}")
            print("Ctrl-C stops them.", flush=True)
            signal.sigwait([signal.SIGINT, signal.SIGTERM])
        finally:
            cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
