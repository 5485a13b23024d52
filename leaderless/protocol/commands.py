"""What the core asks of its shell, as values.

The shell owes the core this order: what `Apply` names is durable before `Exchange.applied` is
told, and `Exchange.ours_changed` is told after every write, so nothing is acknowledged or announced
before it would survive a loss of power.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol.messages import StateBatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.messages import (
        Compare,
        Compared,
        LogBatch,
        Message,
        Records,
        Statements,
    )


class Stream(Enum):
    """What can be read from a replica, in order, from a position on."""

    STATE = "state"
    """An owner's rows, by owner."""
    LOG = "log"
    """A feed's commits, by feed."""
    RECORDS = "records"
    """The state of the shared records, by the place that one batch of it comes after."""


class Key(NamedTuple):
    """One stream: of an owner's rows, of a feed's commits, or one batch of the shared records."""

    stream: Stream
    of: bytes


def key_of(batch: StateBatch | LogBatch) -> Key:
    """Return the stream that a batch of rows or commits is of."""
    if isinstance(batch, StateBatch):
        return Key(Stream.STATE, batch.owner)
    return Key(Stream.LOG, batch.feed)


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a link."""

    link: int
    message: Message


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send a message that was encoded already."""

    link: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """Read the next batch of `key` above `after`, and tell `Exchange.loaded`.

    `known` names the word of the owner that needs not be said again; with `columns` the peer can read
    rows as columns.
    """

    link: int
    key: Key
    after: int
    known: bytes = b""
    columns: bool = False


class Read(NamedTuple):
    """The batch that a `Load` led to: how far it reaches of how much there is, and its bytes."""

    reaches: int
    head: int
    frame: bytes
    size: int
    """In payload bytes, before compression."""
    needs: tuple[int, int] = (1, 0)
    """The version of the protocol that its reader has to speak."""


@dataclass(frozen=True, slots=True)
class SendStatements:
    """Send all membership statements that are kept here."""

    link: int


@dataclass(frozen=True, slots=True)
class Introduce:
    """Send our own device row as an introduction."""

    link: int


@dataclass(frozen=True, slots=True)
class Apply:
    """Make a batch or statements durable and let them take effect, then tell `Exchange.applied`."""

    link: int
    message: StateBatch | LogBatch | Records | Statements
    size: int


@dataclass(frozen=True, slots=True)
class Close:
    """End a link; the peer is told why first."""

    link: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person may want to know."""

    kind: str
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Answer a comparison, or hear the answer to ours, of so many payload bytes."""

    link: int
    message: Compare | Compared
    size: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """Go on in a new incarnation: nobody who can be reached knows more of this device."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Note that most others hold other shared records than these, which somebody had given."""


@dataclass(frozen=True, slots=True)
class TakeRecords:
    """Let the state of the shared records that was fetched take effect: all of it is here."""


Command = (
    Send
    | SendFrame
    | Load
    | SendStatements
    | Introduce
    | Apply
    | Reconcile
    | Close
    | Note
    | GoOn
    | Doubt
    | TakeRecords
)
