"""A hint: an address where somebody may answer, and what for."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class HintKind(Enum):
    """What is offered at an address."""

    SYNC = "sync"
    PAIR = "pair"


class Hint(NamedTuple):
    """Somebody may answer at HOST:PORT; TLS has to prove who."""

    host: str
    port: int
    kind: HintKind
