"""A state of the shared records held against the commits that are here: against what they said.

Of a commit whose content is forgotten only the header can be held against it. Records come in the
order of their ids and large commits are of many of them, so one may have to be read for each of many
batches of records: that is bounded, and beyond the bound headers have to do, too.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.commits import decode_body, decode_header
from leaderless.protocol.packing import pack
from registry.changes import Dot, FieldKey, Form, WriteRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.changes import SharedChange, Value
    from registry.joining import Memory

Key = tuple[str, bytes]
_LOOKUP: Final = 500
_SELECT: Final = "SELECT seq, stamp, body IS NOT NULL FROM commit_log"
READ_BYTES: Final = 32 << 20
"""So much of the contents of commits is read for one state: 4 MiB take about a second."""
KEPT_BYTES: Final = 4 << 20
"""So much of it is kept for the next records; as objects it is some ten times as large."""
_MAKING: Final = (Form.CREATE, Form.RESTORE)


class _Claim(NamedTuple):
    """What is said of a commit: that it made or deleted a record, or wrote a value of it."""

    key: Key
    at: Dot | WriteRef
    written: tuple[FieldKey, Value] | None = None


class Contents:
    """The commits that are here, as a state of records is held against them."""

    def __init__(
        self, connection: Connection, feeds: Mapping[bytes, int], read_bytes: int = READ_BYTES
    ) -> None:
        """`feeds` are the local keys of the feeds; read `read_bytes` of contents at most."""
        self._connection = connection
        self._feeds = feeds
        self._left = read_bytes
        self._kept: OrderedDict[Dot, tuple[int, tuple[SharedChange, ...]]] = OrderedDict()
        self._kept_bytes = 0

    def contradicted(self, found: Mapping[Key, Memory]) -> tuple[Key, Dot] | None:
        """Return a record, and a commit that is not as its memory says; None if there is none.

        Commits that are not here at all contradict, too.
        """
        claims: dict[Dot, list[_Claim]] = defaultdict(list)
        for key, memory in found.items():
            for claim in _claims(key, memory):
                claims[Dot(claim.at.feed, claim.at.seq)].append(claim)
        held = _held(self._connection, self._feeds, claims)
        for position, said in claims.items():
            stamp, has_content = held.get(position, (None, False))
            changes = self._content(position) if has_content else None
            for claim in said:
                is_named = not isinstance(claim.at, WriteRef) or claim.at.stamp.pack() == stamp
                if stamp is None or not is_named:
                    return claim.key, position
                if changes is not None and not _is_said(claim, changes):
                    return claim.key, position
        return None

    def _content(self, at: Dot) -> tuple[SharedChange, ...] | None:
        """Return what a commit said, None if enough was read."""
        if at in self._kept:
            self._kept.move_to_end(at)
            return self._kept[at][1]
        if self._left <= 0:
            return None
        header, body = self._connection.exec_driver_sql(
            "SELECT header, body FROM commit_log WHERE feed = ? AND seq = ?",
            (self._feeds[at.feed], at.seq),
        ).one()
        changes = decode_body(decode_header(header), body)
        self._left -= len(body)
        self._kept[at] = len(body), changes
        self._kept_bytes += len(body)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popitem(last=False)[1][0]
        return changes


def _claims(key: Key, memory: Memory) -> Iterator[_Claim]:
    state = memory.state
    for dot in (*state.dots, *(dot for death in state.deaths for dot in death.dots)):
        yield _Claim(key, dot)
    for death in state.deaths:
        yield _Claim(key, death.ref)
    for write in (*state.writes, *state.remains):
        yield _Claim(key, write.ref, (write.key, write.value))
    for (register, ref), value in memory.unseen.items():
        yield _Claim(key, ref, (register, value))


def _is_said(claim: _Claim, changes: Sequence[SharedChange]) -> bool:
    """Return whether a commit of these changes is as it is claimed to be."""
    if not isinstance(claim.at, WriteRef):
        return any(
            change.form in _MAKING and (change.model, change.record) == claim.key
            for change in changes
        )
    if claim.at.place >= len(changes):
        return False
    change = changes[claim.at.place]
    if (change.model, change.record) != claim.key:
        return False
    if claim.written is None:
        return change.form is Form.DELETE
    register, value = claim.written
    written = [write.value for write in change.writes if (write.field, write.subkey) == register]
    return [pack(value)] == [pack(said) for said in written]


def _held(
    connection: Connection, feeds: Mapping[bytes, int], positions: Iterable[Dot]
) -> dict[Dot, tuple[bytes, bool]]:
    """Return the signed stamps of commits, and whether their contents are here."""
    wanted: dict[bytes, list[int]] = defaultdict(list)
    for at in positions:
        wanted[at.feed].append(at.seq)
    found: dict[Dot, tuple[bytes, bool]] = {}
    for feed, numbers in wanted.items():
        for first in range(0, len(numbers), _LOOKUP):
            chunk = numbers[first : first + _LOOKUP]
            listed = ", ".join("?" * len(chunk))
            query = f"{_SELECT} WHERE feed = ? AND seq IN ({listed})"
            rows = connection.exec_driver_sql(query, (feeds.get(feed), *chunk))
            found.update((Dot(feed, seq), (stamp, bool(whole))) for seq, stamp, whole in rows)
    return found
