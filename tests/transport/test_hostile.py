"""Frames of a member that break the rules, on the real road, against a process of its own.

Each ends its connection with a named error, costs the process little memory, and leaves nothing.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest
import trio
import zstandard

from leaderless.protocol import codec
from leaderless.protocol.limits import MAX_FRAME_BYTES
from leaderless.protocol.messages import Bye, Hello, Vectors
from leaderless.protocol.vectors import vectors_digest
from leaderless.transport.base import ConnectionLostError, FrameRefusedError
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import dial
from registry.changes import Incarnation
from tests.replicas import START_MS, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

ROOT = Path(__file__).parents[2]
MOST_GROWTH_KIB = 32 << 10
_STORED = (
    "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM device), (SELECT count(*) FROM"
    " commit_log), (SELECT count(*) FROM feed), (SELECT count(*) FROM incarnation)"
)


def part(data: bytes) -> bytes:
    """Return a part of a payload with its length."""
    return len(data).to_bytes(4, "big") + data


def squeezed(payload: bytes) -> bytes:
    """Return a compressed frame."""
    return b"\x01" + zstandard.ZstdCompressor().compress(payload)


def _lists(count: int) -> bytes:
    """Return the head that costs most memory for its bytes: a list of empty lists."""
    return b"\xdd" + count.to_bytes(4, "big") + b"\x90" * count


_HELLO = Hello(
    (1, 0), bytes(16), Incarnation(1, bytes(8)), {}, bytes(32), bytes(32), START_MS, "hostile"
)
_DRAW = random.Random(7)
FRAMES: dict[str, tuple[bytes, str]] = {
    "one byte over the limit": (bytes(MAX_FRAME_BYTES + 1), "frame_refused"),
    "far over the limit": (bytes(64 << 20), "frame_refused"),
    "as large as can be": (bytes(MAX_FRAME_BYTES), "out_of_turn"),
    "a bomb of zeros": (squeezed(b"\x01" + bytes(256 << 20)), "frame_too_large"),
    "a bomb in a head": (squeezed(b"\x01" + part(_lists(8 << 20))), "frame_too_large"),
    "a head of empty lists": (b"\x00\x01" + part(_lists((256 << 10) - 5)), "malformed"),
    "too deep": (b"\x00\x01" + part(b"\x91" * 200_000 + b"\x90"), "malformed"),
    "a map too deep": (b"\x00\x01" + part(b"\x81\xa1x" * 80_000 + b"\xc0"), "malformed"),
    "a million parts": (squeezed(b"\x05" + part(b"\x80") + bytes(4 << 20)), "malformed"),
    "empty": (b"", "malformed"),
    "cut off in its length": (b"\x00\x01\x00\x00", "malformed"),
    "cut off in its head": (codec.encode(_HELLO)[:-7], "malformed"),
    "cut off in its compression": (squeezed(bytes(5_000))[:-3], "malformed"),
    "random": (_DRAW.randbytes(100_000), "malformed"),
    "random and compressed": (squeezed(_DRAW.randbytes(100_000)), "out_of_turn"),
    "random after its kind": (b"\x00\x01" + _DRAW.randbytes(100_000), "malformed"),
    "of an unknown kind": (b"\x00\x63" + part(b"\x80"), "out_of_turn"),
    "of an unknown flag": (b"\x07\x01" + part(b"\x80"), "malformed"),
    "another shape": (b"\x00\x01" + part(msgpack.packb({"version": 5})), "malformed"),
    "out of turn": (codec.encode(Bye("x", "y"))[:1] + b"\x0a" + part(b"\x80"), "out_of_turn"),
}


@dataclass
class Receiver:
    """The process under attack, and the attackers, who are members of its library.

    Each that broke a rule is not heard again at once, so that a next attack is somebody else's.
    """

    process: trio.Process
    port: int
    folder: Path
    attackers: Iterator[Trust]
    library: bytes
    lines: AsyncIterator[str]

    def kib(self, name: str) -> int:
        """Return a figure of the process from /proc, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")
        )

    def forget_peak(self) -> None:
        """Let the peak of resident memory begin at what is resident now (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stored(self) -> list[tuple[int, ...]]:
        """Return how much is in the process's database."""
        return query_file(self.folder / "library0.db", _STORED)

    async def attack(self, *frames: bytes) -> str:
        """Send frames on a connection of its own; return the code of the error that ended it."""
        async with trio.open_nursery() as nursery:
            link = await dial(nursery, next(self.attackers), "127.0.0.1", self.port)
            try:
                for frame in frames:
                    await link.send(frame)
                while True:
                    await link.receive()
            except (ConnectionLostError, FrameRefusedError):
                await link.aclose()
        return await anext(self.lines)


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
    rest = b""
    while data := await stream.receive_some():
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode()


@contextlib.asynccontextmanager
async def receiving(folder: Path, attacks: int = 1) -> AsyncIterator[Receiver]:
    """Run a device in a process of its own, for so many attacks."""
    replicas = make_replicas(folder, 1 + attacks)
    people = [replica.identity for replica in replicas]
    library = replicas[0].store.library
    for replica in replicas:
        replica.store.close()
    pins = {item.fingerprint: item.certificate_der for item in people}
    command = [sys.executable, "-m", "tests.transport.receiver", str(folder)]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            assert process.stdin is not None
            async with contextlib.aclosing(_lines(process.stdout)) as lines:
                port = int(await anext(lines))
                attackers = iter([Trust(person, lambda: pins) for person in people[1:]])
                yield Receiver(process, port, folder, attackers, library, lines)
                await process.stdin.aclose()


async def test_hostile_frames_are_named_cheap_and_leave_nothing(tmp_path: Path) -> None:
    """Each kind of hostile frame ends its connection by name, within 32 MiB, and is not kept."""
    async with receiving(tmp_path, 1 + len(FRAMES)) as receiver:
        # The first connection brings in what every later one uses.
        assert await receiver.attack(codec.encode(_HELLO)) == "other_library"
        before, stored = receiver.kib("VmRSS"), receiver.stored()
        receiver.forget_peak()
        named = {}
        peaks = {}
        for name, (frame, _) in FRAMES.items():
            named[name] = await receiver.attack(frame)
            peaks[name] = receiver.kib("VmHWM") - before
        assert named == {name: code for name, (_, code) in FRAMES.items()}
        assert max(peaks.values()) < MOST_GROWTH_KIB, peaks
        assert receiver.stored() == stored


def greeting(receiver: Receiver) -> Hello:
    """Return a hello in due form."""
    nothing = vectors_digest(Vectors())
    return replace(_HELLO, library=receiver.library, vectors=nothing)


@pytest.mark.parametrize("name", ["too deep", "random", "a bomb of zeros", "far over the limit"])
async def test_hostile_frames_within_a_session_are_named_too(tmp_path: Path, name: str) -> None:
    """Who said hello in due form is held to the same rules after it."""
    frame, code = FRAMES[name]
    async with receiving(tmp_path) as receiver:
        assert await receiver.attack(codec.encode(greeting(receiver)), frame) == code


async def test_an_unknown_major_version_is_named(tmp_path: Path) -> None:
    """A hello of a protocol to come ends with the word for it."""
    async with receiving(tmp_path) as receiver:
        newer = replace(greeting(receiver), version=(2, 0))
        assert await receiver.attack(codec.encode(newer)) == "incompatible"
