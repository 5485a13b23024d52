"""Devices that edit one record, each with what it has heard of the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry.authoring import change_for
from registry.changes import (
    UNSET,
    Create,
    Delete,
    Dismiss,
    Dot,
    Edit,
    FieldKey,
    Lock,
    Restore,
    SharedChange,
    Unlock,
    Update,
    WriteRef,
)
from registry.hlc import Stamp
from registry.merge import highest_seen, merge
from registry.state import RecordState

RECORD = bytes(16)


@dataclass(frozen=True)
class Sent:
    """A change as it travels: where it stands, and what its author had seen."""

    change: SharedChange
    dot: Dot
    stamp: Stamp
    seen: frozenset[Dot]


@dataclass
class Replica:
    """A device with its own state, journal and memory of what it has seen."""

    name: bytes
    state: RecordState = field(default_factory=RecordState)
    lost: set[tuple[FieldKey, WriteRef]] = field(default_factory=set)
    seen: set[Dot] = field(default_factory=set)
    seq: int = 0

    def take(self, sent: Sent) -> None:
        """Apply a change once, after all that its author had seen."""
        if sent.dot in self.seen:
            return
        assert sent.seen <= self.seen
        merged = merge(self.state, sent.change, sent.dot, sent.stamp, 0)
        self.state = merged.state
        self.lost |= {(write.key, write.ref) for write in merged.lost}
        self.lost -= merged.found
        self.lost = {item for item in self.lost if item[1] not in merged.seen}
        self.seen.add(sent.dot)

    def write(self, what: str, key: str, value: int, clock: int) -> Sent | None:
        """Write a change, or nothing where it cannot be meant."""
        alive = self.state.alive
        edit: Edit
        if self.state.locked_by not in (None, self.name[:16]) and what != "unlock":
            return None
        if what == "lock" and alive and self.state.locked_by is None:
            edit = Lock("tag", RECORD)
        elif what == "unlock" and alive and self.state.locked_by is not None:
            edit = Unlock("tag", RECORD)
        elif what == "dismiss" and self.lost:
            edit = Dismiss("tag", RECORD, (min(self.lost, key=lambda item: item[1]),))
        elif what == "update" and alive:
            edit = Update("tag", RECORD, {key: value, ("set", key): bool(value % 2) or None})
        elif what == "unset" and alive:
            edit = Update("tag", RECORD, {key: UNSET})
        elif what == "delete" and alive:
            edit = Delete("tag", RECORD)
        elif what == "create" and not alive:
            edit = Create("tag", RECORD, {key: value})
        elif what == "restore" and not alive and self.state.remains:
            edit = Restore("tag", RECORD)
        else:
            return None
        change = change_for(edit, self.state, self.name[:16])
        over = highest_seen([change])
        self.seq += 1
        stamp = Stamp(max(clock, over.ms + 1 if over else 0), 0, 0)
        sent = Sent(change, Dot(self.name, self.seq), stamp, frozenset(self.seen))
        self.take(sent)
        if isinstance(edit, Update):
            assert self.state.shown()[key, None].value == edit.fields[key], (
                "an author sees what he wrote"
            )
        return sent
