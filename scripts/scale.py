"""What proof costs on a large library: counting it again, and finding few differences between two.

A library of one device with a tree of files is made as the indexer writes it. `verify` counts it again
as the verb does. A second library is a copy of its file in which some rows are changed, some are
missing and some stand that the first has not; the two compare through the parts that a link uses,
each message a frame as it goes over the wire. The bounds are those of docs/proof.md.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from entities import MODELS
from leaderless.clock import SystemClock, wall_ms
from leaderless.daemon.members import genesis
from leaderless.identity import load_or_create
from leaderless.ids import RecordIds
from leaderless.protocol import codec
from leaderless.protocol.membership import library_of
from leaderless.protocol.messages import Compare, Compared
from leaderless.store.store import create_store, open_store
from leaderless.store.verification import verify
from leaderless.sync.comparing import Comparer
from registry.changes import Incarnation
from registry.models import Registry
from scripts.benchmarks.filling import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from leaderless.sync.comparing import Comparison

VERIFY_S: Final = 15.0
ROUNDS: Final = 6
TRAFFIC_BYTES: Final = 64 << 10
"""Of all frames of a comparison, in both directions."""

DEVICE_COLUMNS: Final = ("uuid", "name")


@dataclass
class Taken:
    """What something took, in seconds of the wall clock and of this process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def timed() -> Iterator[Taken]:
    """Measure what is done inside."""
    taken, wall, cpu = Taken(), time.perf_counter(), time.process_time()
    yield taken
    taken.wall_s = round(time.perf_counter() - wall, 2)
    taken.cpu_s = round(time.process_time() - cpu, 2)


# --- the libraries --------------------------------------------------------------------------------


def opened(path: Path) -> AbstractAsyncContextManager[Store]:
    """Return the store at a path, to be opened; it is made where there is none."""
    clock, person = SystemClock(), load_or_create(path.parent)
    if not path.exists():
        said = genesis(person, "home", wall_ms(clock), bytes(16))
        first = Incarnation(1, bytes(8))
        create_store(path, clock, person.device, first, library_of(said), (said,))
    return open_store(path, Registry(MODELS), clock, RecordIds(clock), person.sign)


def part(here: Store, there: Store, chance: random.Random, count: int) -> set[bytes]:
    """Make so many files differ behind everybody's back; return their ids.

    One after the other they are otherwise on the second side, missing there, and missing here.
    """
    files = here.write_here(
        lambda tx: tx.conn.exec_driver_sql("SELECT uuid FROM entry WHERE kind = 'file'").all()
    )
    chosen = [uuid for (uuid,) in chance.sample(files, count)]
    ways = (
        (there, "UPDATE entry SET mtime_ns = mtime_ns + 1 WHERE uuid = ?"),
        (there, "DELETE FROM entry WHERE uuid = ?"),
        (here, "DELETE FROM entry WHERE uuid = ?"),
    )
    for at, uuid in enumerate(chosen):
        store, statement = ways[at % len(ways)]
        store.write_here(partial(_execute, statement=statement, uuid=uuid))
    return set(chosen)


def _execute(transaction: Transaction, statement: str, uuid: bytes) -> None:
    transaction.conn.exec_driver_sql(statement, (uuid,))


# --- what is measured -----------------------------------------------------------------------------


@dataclass
class Wire:
    """Two who compare, and the bytes of the frames between them, by who sent them."""

    here: Store
    there: Store
    asked_bytes: int = 0
    answered_bytes: int = 0

    async def compare(self) -> Comparison:
        """Have the first compare with the second; return what it found."""
        sender, questions = trio.open_memory_channel[bytes](1)
        asker = Comparer(self.here, sender.send_nowait)
        answerer = Comparer(self.there, lambda frame: self._hand_back(asker, frame))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, questions, answerer, nursery)
            found = await asker.compare()
            nursery.cancel_scope.cancel()
        return found

    async def _carry(
        self,
        questions: trio.MemoryReceiveChannel[bytes],
        answerer: Comparer,
        nursery: trio.Nursery,
    ) -> None:
        async for frame in questions:
            self.asked_bytes += len(frame)
            message = codec.decode(frame)
            if isinstance(message, Compare):
                nursery.start_soon(answerer.answer, message)

    def _hand_back(self, asker: Comparer, frame: bytes) -> None:
        self.answered_bytes += len(frame)
        message, size = codec.decode_sized(frame)
        if isinstance(message, Compared):
            asker.heard(message, size)


async def run(
    folder: Path, entries: int, differences: int, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Make the libraries in a folder and measure; return the figures."""
    chance = random.Random(seed)  # noqa: S311 - has to be repeatable
    path, other = folder / "here.db", folder / "there.db"
    with timed() as making:
        async with opened(path) as store:
            about = [(store.own_device, "here")]
            store.write_here(lambda tx: tx.put("device", DEVICE_COLUMNS, about))
            fill(store, chance, entries, say=say)
        shutil.copyfile(path, other)
    say(f"made in {making.wall_s} s; counting again")
    async with opened(path) as here, opened(other) as there:
        with timed() as counting:
            counted = await here.read(lambda conn: verify(conn, here.registry))
        say(f"counted in {counting.wall_s} s; comparing")
        planted = part(here, there, chance, differences)
        wire = Wire(here, there)
        with timed() as comparing:
            found = await wire.compare()
    traffic = wire.asked_bytes + wire.answered_bytes
    is_right = all(count.fault is None for count in counted)
    has_found = {item.uuid for item in found.differences} == planted
    return {
        "schema": 1,
        "entries": entries,
        "file_bytes": path.stat().st_size,
        "made_s": making.wall_s,
        "verify": {
            "rows": sum(count.rows for count in counted),
            "right": is_right,
            "wall_s": counting.wall_s,
            "cpu_s": counting.cpu_s,
            "pass": is_right and counting.wall_s < VERIFY_S,
        },
        "diff": {
            "planted": len(planted),
            "found": len(found.differences),
            "rounds": found.rounds,
            "asked_bytes": wire.asked_bytes,
            "answered_bytes": wire.answered_bytes,
            "payload_bytes": found.payload_bytes,
            "wall_s": comparing.wall_s,
            "cpu_s": comparing.cpu_s,
            "pass": has_found and found.rounds <= ROUNDS and traffic <= TRAFFIC_BYTES,
        },
    }


def lines(done: dict[str, Any]) -> Iterator[str]:
    """Yield what the figures say, for people."""
    counted, found = done["verify"], done["diff"]
    traffic = found["asked_bytes"] + found["answered_bytes"]
    if counted["cpu_s"] < VERIFY_S <= counted["wall_s"]:
        yield "The machine did something else meanwhile: what follows is to be measured again."
    yield (
        f"{'PASS' if counted['pass'] else 'FAIL'}  verify: {counted['rows']:,} rows in"
        f" {counted['wall_s']} s (CPU {counted['cpu_s']} s), bound {VERIFY_S:g} s;"
        f" {'all right' if counted['right'] else 'they count otherwise'}"
    )
    yield (
        f"{'PASS' if found['pass'] else 'FAIL'}  diff: {found['found']} of {found['planted']}"
        f" differences in {found['rounds']} rounds, bound {ROUNDS}, and {traffic:,} bytes"
        f" ({found['asked_bytes']:,} asked, {found['answered_bytes']:,} answered),"
        f" bound {TRAFFIC_BYTES:,}; {found['wall_s']} s (CPU {found['cpu_s']} s)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run it as the arguments say; 0 if all is within the bounds."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--differences", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    if not 4 <= 4 * args.differences <= args.entries:
        parser.error("there have to be four times as many entries as differences, and one of these")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="scale-", dir=args.folder) as folder:
        done = trio.run(run, Path(folder), args.entries, args.differences, args.seed, say)
    print(json.dumps(done) if args.json else "\n".join(lines(done)))
    return 0 if done["verify"]["pass"] and done["diff"]["pass"] else 1


if __name__ == "__main__":
    sys.exit(main())
