"""How a session begins: what hello says, whom it does not go on with, and which of two links goes.

What is asked for after that is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Command, Note, Send, SendStatements
from leaderless.protocol.messages import PROTOCOL_VERSION, Hello, Positions
from leaderless.protocol.vectors import readable, vectors_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings

CROSSED: Final = "crossed"
"""How a connection ends that is one of two between the same devices: nothing is wrong with either."""
CROSSED_S: Final = 10.0
"""Two links made within this time crossed; later, a new one means that the old one is dead."""


@dataclass(frozen=True, slots=True)
class Greeter:
    """What a device says of itself at the beginning of every session."""

    device: bytes
    library: bytes
    models: Mapping[str, int]
    software: str

    def hello(self, to: bytes, ours: Holdings, digest: bytes, wall_ms: int) -> Hello:
        """Return what is said to the device `to`; `digest` is that of our positions."""
        return Hello(
            PROTOCOL_VERSION,
            self.library,
            ours.vectors.owned[self.device].incarnation,
            self.models,
            ours.membership,
            digest,
            wall_ms,
            self.software,
            ours.vectors.owned.get(to),
        )

    def loser(self, old: Peer, new: Peer, now: float) -> Peer:
        """Return which of two links to one peer goes; both sides come to the same answer."""
        if old.dialed == new.dialed or now - old.since > CROSSED_S:
            return old
        kept_is_dialed = self.device < old.device
        return old if new.dialed == kept_is_dialed else new

    def mismatch(self, hello: Hello) -> tuple[str, str] | None:
        """Return why there is no session with who says this, as (code, text); None if there is one."""
        if hello.version[0] != PROTOCOL_VERSION[0]:
            older = "here" if hello.version[0] > PROTOCOL_VERSION[0] else "there"
            text = f"protocol {hello.version[0]} meets {PROTOCOL_VERSION[0]}: upgrade {older}"
            return "incompatible", text
        if hello.library != self.library:
            return "other_library", "the two devices are of different libraries"
        return None


def welcome(peer: Peer, hello: Hello, ours: Holdings, wall_ms: int) -> list[Command]:
    """Take in a peer's hello; return what is answered: what differs.

    Where the peer says that it holds what we held when we said hello, its positions are known.
    """
    peer.hello = hello
    peer.clock_ahead_ms = hello.wall_ms - wall_ms
    commands: list[Command] = [Note("peer_connected", {"device": peer.device})]
    if hello.membership != ours.membership:
        commands.append(SendStatements(peer.link))
    if hello.vectors == vectors_digest(peer.sent_vectors):
        peer.learn(Positions(peer.sent_vectors, whole=True))
    if not peer.known or ours.vectors != peer.sent_vectors:
        told = Positions(readable(ours.vectors, hello.version), whole=True)
        commands.append(Send(peer.link, told))
    return commands
