"""Rounds of SIGKILL: two real daemons that edit, scan and sync are killed at random moments.

What was acknowledged is written down by the one who asked. After each restart it has to be there, the
database has to pass SQLite's checks and the daemon has to answer in time; in the end both are equal.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderless.cli.client import Client
from leaderless.config import find_paths
from leaderless.errors import LeaderlessError
from scripts.device import Device, pair
from scripts.relay import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = (
    'listen_host = "127.0.0.1"\nlisten_port = {own}\npeers = ["127.0.0.1:{other}"]\nmdns = false\n'
    "reconnect_min_s = 0.05\nreconnect_max_s = 0.3\n"
)
SEEDED, ADDED, DROPPED = 5_000, 60, 20
BULK, BULK_EVERY = 3_000, 10
LIMIT_S = 5.0
START_S = 60.0
LOAD_S = (0.05, 2.0)


class BrokenPromiseError(Exception):
    """Something that was promised is not so."""


@dataclass
class Side:
    """A device, and what it acknowledged: what may be shown of each tag and note."""

    device: Device
    folder: Path
    tags: dict[str, set[str | None]] = field(default_factory=dict)
    notes: dict[Path, set[str]] = field(default_factory=dict)
    edits: int = 0
    up_s: list[float] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """Return a line to the daemon."""
        return Client(find_paths(str(self.device.home), {}), lambda: "leaderless serve")

    def start(self) -> None:
        """Start the daemon; note how long it took until it answered."""
        began = time.monotonic()
        self.device.begin()
        while True:
            try:
                self.client.get("/v1/status")
                break
            except LeaderlessError:
                if time.monotonic() > began + START_S or not self.device.runs():
                    raise BrokenPromiseError(f"{self.device.name} does not start") from None
                time.sleep(0.01)
        self.up_s.append(time.monotonic() - began)

    def edit(self, number: int) -> None:
        """Make a tag, change it, write a note: each is remembered once it is acknowledged."""
        name, at = f"{self.device.name}-{number}", self.folder / f"seed {number % 100}"
        self.client.post("/v1/tags/create", {"name": name, "fields": {}})
        self.tags[name] = {None}
        # Sent but not answered may be done or not; answered, the old value is gone for good.
        self.tags[name] = {None, "red"}
        self.client.post("/v1/tags/set", {"tag": name, "fields": {"color": "red"}})
        self.tags[name] = {"red"}
        note = f"{self.device.name} writes {number}"
        before = self.notes.get(at)
        if before is not None:
            self.notes[at] = before | {note}
        body = {"targets": [str(at)], "scope": "entry", "fields": {"note": note}}
        self.client.post("/v1/metadata", body)
        self.notes[at] = {note}
        self.edits += 3


def _seed(folder: Path, count: int, name: str = "seed") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        (folder / f"{name} {at}").touch()
    return folder


def _editing(side: Side, numbers: Any, over: threading.Event) -> None:  # noqa: ANN401 - a counter
    """Edit until the daemon is gone."""
    while not over.is_set():
        try:
            side.edit(next(numbers))
        except LeaderlessError:
            return


def _scanning(side: Side, number: int) -> None:
    """Have a folder change and be scanned; every now and then a whole new one."""
    try:
        _seed(side.folder, ADDED, f"round {number}")
        for at in range(DROPPED):
            (side.folder / f"round {number - 1} {at}").unlink(missing_ok=True)
        side.client.post("/v1/locations/scan", {"location": side.folder.name})
        if number % BULK_EVERY == 0:
            bulk = _seed(side.folder.with_name(f"bulk {side.device.name} {number}"), BULK)
            side.client.post("/v1/locations", {"path": str(bulk)})
    except LeaderlessError:
        return


def play(sides: list[Side], number: int, chance: random.Random, numbers: Any) -> bool:  # noqa: ANN401
    """Put load on both, kill one or both at some moment, start them and look what is there.

    Returns whether the two were connected when that happened.
    """
    over = threading.Event()
    work = [threading.Thread(target=_editing, args=(side, numbers, over)) for side in sides]
    work += [threading.Thread(target=_scanning, args=(side, number)) for side in sides]
    for thread in work:
        thread.start()
    time.sleep(chance.uniform(*LOAD_S))
    met = any(peer["connected"] for peer in sides[0].client.get("/v1/peers")["peers"])
    victims = chance.choice([sides[:1], sides[1:], sides])
    for side in victims:
        side.device.kill()
    over.set()
    for thread in work:
        thread.join()
    for side in victims:
        side.start()
    for side in victims:
        check(side)
    return met


def check(side: Side) -> None:
    """Raise BrokenPromiseError unless the file is whole and all that was acknowledged is there."""
    state = side.device.home / "state"
    with closing(sqlite3.connect(f"file:{state / 'library.db'}?mode=ro", uri=True)) as database:
        pages = database.execute("PRAGMA quick_check").fetchall()
        broken = database.execute("PRAGMA foreign_key_check").fetchall()
    if pages != [("ok",)] or broken:
        raise BrokenPromiseError(
            f"the database of {side.device.name} is not whole: {pages} {broken}"
        )
    if list(state.glob("library.db.corrupt-*")):
        raise BrokenPromiseError(f"{side.device.name} took its database for a damaged one")
    held(side, side)


def held(side: Side, by: Side) -> None:
    """Raise BrokenPromiseError unless a device holds what another (or itself) had acknowledged."""
    tags, notes = _shown(by)
    for name, colors in side.tags.items():
        if name not in tags or tags[name] not in colors:
            raise BrokenPromiseError(f"{by.device.name} lost tag {name}: {tags.get(name, 'gone')}")
    for path, texts in side.notes.items():
        if not texts & notes:
            raise BrokenPromiseError(f"{by.device.name} lost the note on {path.name}: {texts}")


def _shown(side: Side) -> tuple[dict[str, str | None], set[str]]:
    tags: dict[str, str | None] = {}
    notes: set[str] = set()
    for line in side.client.lines("/v1/export"):
        record = json.loads(line)
        if record["model"] == "tag":
            tags[record["fields"]["canonical_name"]] = record["fields"].get("color")
        elif record["model"] == "user_metadata" and "note" in record["fields"]:
            notes.add(record["fields"]["note"])
    return tags, notes


def run(folder: Path, rounds: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Play so many rounds in a folder; return the figures. Raises BrokenPromiseError."""
    chance, numbers = random.Random(seed), iter(range(10**9))  # noqa: S311 - a test repeats itself
    sides, met = [], 0
    one, two = free_port(), free_port()
    for name, own, other in (("a", one, two), ("b", two, one)):
        options = OPTIONS.format(own=own, other=other)
        made = Side(Device(folder / name, name, options), folder / f"files {name}")
        sides.append(made)
        _seed(made.folder, SEEDED)
        made.start()
    try:
        pair(sides[0].device, sides[1].device, "127.0.0.1")
        for side in sides:
            side.device.run("location", "add", str(side.folder), "--wait")
        for number in range(1, rounds + 1):
            met += play(sides, number, chance, numbers)
            if number % 10 == 0:
                say(f"{number} rounds, {sum(side.edits for side in sides)} edits acknowledged")
        return {"rounds": rounds, "seed": seed, "met": met, **finish(sides)}
    finally:
        for side in sides:
            side.device.stop()


def finish(sides: list[Side]) -> dict[str, Any]:
    """Wait until both are equal and quiet; return the figures. Raises BrokenPromiseError."""
    for side in sides:
        for location in side.client.get("/v1/locations")["locations"]:
            if location["device_id"] == side.client.get("/v1/status")["device_id"]:
                side.device.run("location", "scan", location["name"], "--wait")
    for side in sides:
        side.device.run("wait", "--synced", "--timeout", "120")
    first, second = (side.device.export() for side in sides)
    if first != second:
        raise BrokenPromiseError("the two are in sync and export different records")
    for side in sides:
        for by in sides:
            held(side, by)
    up_s = [taken for side in sides for taken in side.up_s]
    slow = [taken for taken in up_s if taken >= LIMIT_S]
    return {
        "starts": len(up_s),
        "edits": sum(side.edits for side in sides),
        "records": first.count(b"\n"),
        "up_median_s": round(statistics.median(up_s), 2),
        "up_most_s": round(max(up_s), 2),
        "slow_starts": len(slow),
    }


def main() -> None:
    """Run what the command line asks for; exit 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-rounds-") as folder:
        try:
            found = run(
                Path(folder), asked.rounds, asked.seed, lambda text: print(text, file=sys.stderr)
            )
        except BrokenPromiseError as violation:
            print(f"broken: {violation}", file=sys.stderr)
            sys.exit(1)
    print(json.dumps(found) if asked.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    sys.exit(1 if found["slow_starts"] else 0)


if __name__ == "__main__":
    main()
