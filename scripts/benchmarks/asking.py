"""What a person waits for: a search in a million files, the start of the daemon, its status."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from leaderless.errors import LeaderlessError
from scripts.benchmarks.figures import Figure, at_most
from scripts.benchmarks.pairs import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmarks.setting import Setting
    from scripts.device import Device

TAGGED: Final = "report 12"
"""In the names of about a thousandth of the files."""
SEARCHES: Final = {
    "part of a name": ({"text": "invoice 7"}, ("invoice 7",)),
    "tag and extension": ({"tag": "work", "ext": "pdf"}, ("--tag", "work", "--ext", "pdf")),
}
_FIRST: Final = 50


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def find(setting: Setting) -> Iterator[Figure]:
    """Yield how long the first matches among all entries take, at the socket and as a command."""
    with setting.templates.behind(setting.rows) as pair:
        pair.first.start()
        ask = client(pair.first)
        ask.post("/v1/tags/create", {"name": "work"})
        tagged = {"tag": "work", "where": {"text": TAGGED}, "scope": "entry"}
        ask.post("/v1/tags/add", tagged, timeout_s=600)
        for what, (query, words) in SEARCHES.items():

            def at_socket(query: dict[str, str] = query) -> float:
                began = time.perf_counter()
                found = ask.get("/v1/find", {**query, "limit": _FIRST})
                if not found["entries"]:
                    raise RuntimeError(f"{query} finds nothing")
                return 1e3 * (time.perf_counter() - began)

            def as_command(words: tuple[str, ...] = words) -> float:
                return 1e3 * _seconds(pair.first.command("find", *words))

            for how, once, limit in (("socket", at_socket, 100), ("command", as_command, 250)):
                taken = tuple(setting.runs(once))
                yield Figure("find", f"{what}, {how}", "ms", taken, goals=(at_most(limit),))


def start(setting: Setting) -> Iterator[Figure]:
    """Yield how long the daemon takes until it answers, and `status` as a whole process."""
    with setting.templates.behind(setting.rows) as pair:
        bare = [sys.executable, "-c", "pass"]
        asked = pair.first.command("status")
        # As after any start but the very first with these rows.
        pair.first.start()
        pair.first.stop()
        ready = tuple(setting.runs(lambda: _until_ready(pair.first)))
        yield Figure("start", "serve until it answers", "ms", ready, goals=(at_most(600),))
        pair.first.start()
        floors = tuple(1e3 * _seconds(bare) for _ in ready)
        taken = tuple(setting.runs(lambda: 1e3 * _seconds(asked)))
        yield Figure("start", "status, all of it", "ms", taken, floors, (at_most(120),))


def _until_ready(device: Device) -> float:
    """Start and stop a daemon; return the milliseconds until its socket answered."""
    ask = client(device)
    began = time.perf_counter()
    device.begin()
    while True:
        try:
            ask.get("/v1/status")
            break
        except LeaderlessError:
            if not device.runs():
                raise
            time.sleep(0.002)
    took = 1e3 * (time.perf_counter() - began)
    device.stop()
    return took
