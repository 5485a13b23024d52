"""What became of a message of a peer, and of whom it is told that what they sent was wrong.

What is done about it is the session's business; nothing is applied here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.identity import device_id
from leaderless.store import relayed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.membership import Membership

Notes = tuple[tuple[str, "Mapping[str, object]"], ...]


class Outcome(NamedTuple):
    """What became of a message."""

    used: bool
    notes: Notes = ()
    distrusted: tuple[tuple[bytes, bytes], ...] = ()
    """(owner, device) whose relayed rows were not what their owner had signed."""
    suspects: tuple[tuple[bytes, bytes], ...] = ()
    """The same where several devices had a part, and it is not known whose it was."""
    disagrees: bytes | None = None
    """The device whose records are not what the log says."""
    altered: frozenset[bytes] = frozenset()
    """Devices that had given a state of the shared records which most others hold otherwise."""
    unfit: tuple[tuple[bytes, bytes], ...] = ()
    """The same where all was taken back: the device may lack a deletion that it never heard of."""


def judged(owner: bytes, verdict: relayed.Verdict) -> Outcome:
    """Return what came of a batch of an owner's rows, by whose fault it is if they are wrong."""
    notes: list[tuple[str, Mapping[str, object]]] = []
    if verdict.fault is not None:
        notes += [
            ("state_differs", {"owner": owner, "from": device, "why": verdict.fault})
            for device in verdict.named or (owner,)
        ]
    notes += displacements(verdict.displaced)
    named = tuple((owner, device) for device in verdict.named)
    if verdict.is_certain or verdict.is_taken_back:
        certain, unfit = (named, ()) if verdict.is_certain else ((), named)
        suspects = verdict.displaced
        return Outcome(verdict.used, tuple(notes), certain, suspects, unfit=unfit)
    suspects = (*named, *verdict.displaced)
    return Outcome(verdict.used, tuple(notes), suspects=suspects)


def displacements(displaced: tuple[tuple[bytes, bytes], ...]) -> Notes:
    """Return which owners' unproved copies held ids of another device, and who had a part in each."""
    return tuple(
        ("state_differs", {"owner": owner, "from": device, "why": relayed.TAKEN})
        for owner, device in displaced
    )


def comings_and_goings(was: Membership, now: Membership) -> Notes:
    """Return who is a member and was none, and the other way round."""
    came = [key for key in now.members if key not in was.members]
    went = [key for key in was.members if key not in now.members]
    return (
        *(("member_added", {"device": device_id(key)}) for key in came),
        *(("member_revoked", {"device": device_id(key)}) for key in went),
    )
