"""What a connection is, whichever road it runs on, and how one fails."""

from __future__ import annotations

from typing import Protocol

from leaderless.errors import InvalidDataError, NotPermittedError, UnreachableError


class Connection(Protocol):
    """A link to a device that has proved its key; messages arrive whole and in order."""

    peer_key: bytes
    """The raw public key that the other side proved to hold."""
    dialed: bool
    """Whether we called."""
    address: str
    """HOST:PORT of the other side as seen from here."""

    async def send(self, data: bytes) -> None:
        """Send one message; raises ConnectionLostError. A cancelled send ends the connection."""

    async def receive(self) -> bytes:
        """Return the next message; raises ConnectionLostError or FrameRefusedError."""

    async def aclose(self) -> None:
        """End the connection; bounded in time, never raises for a peer's sake."""


class ConnectionLostError(UnreachableError):
    """The other side is gone."""

    code = "connection_lost"


class DialError(UnreachableError):
    """Nobody who speaks our protocol answers there."""

    code = "dial_failed"


class SelfDialError(DialError):
    """It is us who answer there."""

    code = "self_dial"


class UntrustedPeerError(NotPermittedError):
    """Somebody answers who is no member, or to whom we are none."""

    code = "untrusted_peer"


class FrameRefusedError(InvalidDataError):
    """A message that is too large or of another kind than bytes."""

    code = "frame_refused"
