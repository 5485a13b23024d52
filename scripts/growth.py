"""How large a library gets: many edits of few records, with forgetting as the daemon does it.

Two devices edit in turns and apply what the other wrote, from the log as it is handed on; each tells
the other what it has, and forgets. A third member never says anything, and its lease ends on the
way. Prints the size of a database as it grows, and what is in it at the end.

The bound that is held to (docs/forgetting.md): records, newest commits, and `HEADER_BYTES` for each
commit that was ever made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from entities import MODELS
from leaderless.daemon.forgetting import DAY_MS, Forgetting
from leaderless.daemon.members import admission, genesis
from leaderless.identity import certificate_key, load_or_create
from leaderless.ids import RecordIds
from leaderless.protocol import commits
from leaderless.protocol.hashing import digest
from leaderless.protocol.membership import library_of, membership_of
from leaderless.protocol.retention import Terms
from leaderless.store import log
from leaderless.store.holdings import read_holdings
from leaderless.store.store import Store, create_store, open_store
from leaderless.sync.confirmations import write_down
from registry.changes import Create, Incarnation, Update, feed_id
from registry.models import Registry

if TYPE_CHECKING:
    from leaderless.protocol.messages import LogBatch
    from leaderless.store.transaction import Transaction

START_MS = 1_800_000_000_000
HEADER_BYTES = 1_600
"""Of a commit whose body is forgotten: header, signature and hash, and their places in indexes. That
is some 640; but a page from which bodies have gone may stay two thirds empty."""
RECORD_BYTES = 8_192
"""Of a record as it is edited here, with its table, its row, and what is kept beside."""
SLACK_BYTES = 64 << 20
"""Bodies of the newest commits and of those since the last pass, free pages, an empty database."""
ROUND = 1_000
"""Commits that are written, and handed on, together."""
FORGET_EVERY = 20_000
"""Edits between two passes, or a round of larger commits."""
FIELDS = ("color", "description", "icon", "display_name", "formal_name")
TERMS = Terms(30 * DAY_MS, 1_000, 180 * DAY_MS, 365 * DAY_MS)


@dataclass
class Calendar:
    """A clock that the run moves on."""

    ms: int = START_MS

    def wall_ns(self) -> int:
        """Return the time of the run."""
        return self.ms * 1_000_000

    def monotonic(self) -> float:
        """Return real seconds."""
        return time.monotonic()

    boottime = monotonic


def edit(store: Store, chance: random.Random, records: list[bytes], each: int) -> int:
    """Write a round of commits of `each` edits; return how many bytes of values that were."""
    size = 0

    def write(transaction: Any) -> None:  # noqa: ANN401 - a transaction of the store
        nonlocal size
        for _ in range(ROUND):
            edits = []
            for record in chance.sample(records, each):
                value = chance.randbytes(12).hex()
                size += len(value)
                edits.append(Update("tag", record, {chance.choice(FIELDS): value}))
            transaction.commit("tag.set", edits)

    store.write_here(write)
    return size


def _after(transaction: Transaction, feed: bytes, held: int) -> LogBatch | None:
    return log.read_log(transaction.conn, feed, held)


def hand_on(source: Store, target: Store, feed: bytes) -> None:
    """Let a device apply what another has written, as it is handed on."""
    while True:
        held = target.write_here(lambda tx: log.feed_of(tx.conn, feed).received)
        batch = source.write_here(partial(_after, feed=feed, held=held))
        if batch is None:
            return

        def take(transaction: Any, batch: Any = batch) -> None:  # noqa: ANN401 - as above
            for signed in batch.commits:
                header = commits.decode_header(signed.header)
                changes = commits.decode_body(header, signed.body)
                received = log.Received(header, changes, signed, digest(signed.header))
                log.receive(transaction.conn, received, transaction.now_ms)
            log.apply_ready(transaction.conn, transaction.registry, transaction.now_ms)

        target.write_here(take)


def hear(store: Store, other: Store) -> None:
    """Let a device hear what another holds."""
    held = other.write_here(lambda tx: read_holdings(tx.conn)).vectors.feeds
    told = {(other.own_device, feed): position for feed, position in held.items()}
    store.write_here(partial(write_down, positions=told, owned={}))


def sizes(path: Path) -> dict[str, int]:
    """Return the bytes of each table and index of a database, and of its free pages."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
        found = {name: size for name, size in named if size > 1 << 20}
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return dict(sorted(found.items(), key=lambda item: -item[1])) | {"(free pages)": free * 4096}


async def run(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Make the edits; return what came of them."""
    chance, clock = random.Random(args.seed), Calendar()  # noqa: S311 - has to be repeatable
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(store) for store in _made(folder, clock)]
        devices = [store.own_device for store in (*stores[:2], stores[2])]
        keepers = [
            Forgetting(
                store,
                TERMS,
                partial(lambda own: set(devices) - {own}, store.own_device),
                tuple,
                lambda *_: None,
            )
            for store in stores[:2]
        ]
        feeds = [feed_id(store.own_device, Incarnation(1, bytes(8))) for store in stores[:2]]
        records = [stores[0].ids.new() for _ in range(args.records)]
        for at in range(0, args.records, 1_000):
            creates = [Create("tag", record) for record in records[at : at + 1_000]]
            stores[0].write_here(lambda tx, creates=creates: tx.commit("tag.create", creates))
        hand_on(stores[0], stores[1], feeds[0])
        rounds = -(-args.edits // (ROUND * args.per_commit))
        pause = max(1, FORGET_EVERY // (ROUND * args.per_commit))
        began, written, lines = time.process_time(), 0, []
        for number in range(1, rounds + 1):
            clock.ms = START_MS + number * args.days * DAY_MS // rounds
            writer = int(chance.random() < args.second)
            written += edit(stores[writer], chance, records, args.per_commit)
            hand_on(stores[writer], stores[1 - writer], feeds[writer])
            if number % pause and number != rounds:
                continue
            hear(stores[0], stores[1])
            hear(stores[1], stores[0])
            for keeper in keepers:
                await keeper.run(whole=True)
            stores[0].fold()
            size = stores[0].path.stat().st_size
            made = number * ROUND
            line = {
                "commits": made,
                "edits": made * args.per_commit,
                "bytes": size,
                "values_bytes": written,
                "cpu_s": round(time.process_time() - began, 1),
            }
            lines.append(line)
            if number % (pause * args.every) == 0 or number == rounds:
                print(_line(line), file=sys.stderr, flush=True)
        hashes = {
            store.write_here(lambda tx: read_holdings(tx.conn)).shared_hash for store in stores[:2]
        }
        bound = bound_bytes(args.records, lines[-1]["commits"])
        left = "SELECT count(*) FROM commit_log WHERE body IS NOT NULL"
        bodies = stores[0].write_here(lambda tx: tx.conn.exec_driver_sql(left).scalar_one())
    return {
        "schema": 1,
        "equal": len(hashes) == 1,
        "bodies": bodies,
        "bound_bytes": bound,
        "within": max(line["bytes"] for line in lines) <= bound,
        "steps": lines,
        "sizes": sizes(folder / "library0.db"),
    }


def bound_bytes(records: int, made: int) -> int:
    """Return what a database may take after so many commits on so many records."""
    return made * HEADER_BYTES + records * RECORD_BYTES + SLACK_BYTES


def _line(line: dict[str, Any]) -> str:
    mib = line["bytes"] / (1 << 20)
    each = line["bytes"] / line["commits"]
    return (
        f"{line['edits']:>12,} edits in {line['commits']:>10,} commits: {mib:8.1f} MiB,"
        f" {each:6.0f} bytes a commit, {line['cpu_s']:7.1f} s"
    )


def _made(folder: Path, clock: Calendar) -> list[Any]:
    """Return the stores of three members of one library, each to be opened."""
    people = [load_or_create(folder / f"key{at}") for at in range(3)]
    said = [genesis(people[0], "home", START_MS, bytes(16))]
    library = library_of(said[0])
    for at, person in enumerate(people[1:], start=1):
        members = membership_of(library, tuple(said), certificate_key)
        name, nonce = f"device{at}", bytes([at]) * 16
        said.append(admission(people[0], members, person.certificate_der, name, START_MS, nonce))
    opened = []
    for at, person in enumerate(people):
        path = folder / f"library{at}.db"
        create_store(path, clock, person.device, Incarnation(1, bytes(8)), library, tuple(said))
        opened.append(open_store(path, Registry(MODELS), clock, RecordIds(clock), person.sign))
    return opened


def main() -> int:
    """Run it as the arguments say; 0 if all stayed within the bound and both are equal."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--edits", type=int, default=1_000_000)
    parser.add_argument("--records", type=int, default=1_000)
    parser.add_argument("--per-commit", type=int, default=1, help="edits in a commit")
    parser.add_argument("--days", type=int, default=365, help="that the edits take")
    parser.add_argument("--second", type=float, default=0.2, help="part of the second device")
    parser.add_argument("--every", type=int, default=5, help="passes between two printed lines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        done = trio.run(run, Path(folder), args)
    if args.json:
        print(json.dumps(done))
    else:
        print(_line(done["steps"][-1]))
        for name, size in done["sizes"].items():
            print(f"{size / (1 << 20):10.1f} MiB  {name}")
        bound = done["bound_bytes"] / (1 << 20)
        print(f"bound {bound:.1f} MiB: {'held' if done['within'] else 'BROKEN'};")
        print(f"{done['bodies']:,} bodies are left; equal: {done['equal']}")
    return 0 if done["within"] and done["equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
