"""A state of the shared records held against the commits that are here: against what they said.

Of a commit whose content is forgotten only the header can be held against it.
"""

from __future__ import annotations

from collections import defaultdict
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
_MAKING: Final = (Form.CREATE, Form.RESTORE)


class _Claim(NamedTuple):
    """What is said of a commit: that it made or deleted a record, or wrote a value of it."""

    key: Key
    at: Dot | WriteRef
    written: tuple[FieldKey, Value] | None = None


def contradicted(
    connection: Connection, feeds: Mapping[bytes, int], found: Mapping[Key, Memory]
) -> tuple[Key, Dot] | None:
    """Return a record, and a commit that is not as its memory says; None if there is none.

    `feeds` are the local keys of the feeds. Commits that are not here at all contradict, too.
    """
    claims: dict[Dot, list[_Claim]] = defaultdict(list)
    for key, memory in found.items():
        for claim in _claims(key, memory):
            claims[Dot(claim.at.feed, claim.at.seq)].append(claim)
    held = _held(connection, feeds, claims)
    for position, said in claims.items():
        stamp, has_content = held.get(position, (None, False))
        for claim in said:
            if stamp is None or (isinstance(claim.at, WriteRef) and claim.at.stamp.pack() != stamp):
                return claim.key, position
        if has_content:
            changes = _content(connection, feeds[position.feed], position.seq)
            wrong = next((claim for claim in said if not _is_said(claim, changes)), None)
            if wrong is not None:
                return wrong.key, position
    return None


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


def _content(connection: Connection, feed: int, seq: int) -> tuple[SharedChange, ...]:
    header, body = connection.exec_driver_sql(
        "SELECT header, body FROM commit_log WHERE feed = ? AND seq = ?", (feed, seq)
    ).one()
    return decode_body(decode_header(header), body)
