"""The life of an open code: pure, by a clock that is handed in.

A try counts when a joiner's confirmation fails against an open code; three void it. Success
binds the code to the key that proved it: if the connection breaks on the way, that device may try
again, nobody else may.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from leaderless.errors import NotPermittedError

if TYPE_CHECKING:
    from leaderless.pairing.code import Code

LIFETIME_S: Final = 300.0
MAX_FAILURES: Final = 3


class CodeState(Enum):
    """What an open code is good for."""

    WAITING = "waiting"
    PAIRED = "paired"
    EXPIRED = "expired"
    VOID = "void"


class CodeRefusedError(NotPermittedError):
    """The code is wrong, used up, or its time is over."""

    code = "code_refused"


@dataclass
class OpenCode:
    """A code that this device shows; `opened` is a monotonic time."""

    code: Code
    opened: float
    failures: int = 0
    proved_by: bytes | None = None
    done: bool = False

    def state(self, now: float) -> CodeState:
        """Return what the code is good for."""
        if self.done:
            return CodeState.PAIRED
        if self.failures >= MAX_FAILURES:
            return CodeState.VOID
        return CodeState.EXPIRED if now >= self.opened + LIFETIME_S else CodeState.WAITING

    def check_open(self, now: float) -> None:
        """Raise CodeRefusedError unless a try is allowed."""
        if self.state(now) is not CodeState.WAITING:
            raise CodeRefusedError("no code is open")

    def failed(self) -> None:
        """Count a try whose confirmation did not fit."""
        self.failures += 1

    def proved(self, key: bytes) -> None:
        """Bind the code to the key that proved it; raises CodeRefusedError for a second one."""
        if self.proved_by not in (None, key):
            raise CodeRefusedError("another device has used this code")
        self.proved_by = key
