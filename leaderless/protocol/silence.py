"""Peers that say nothing: asked whether they are there, and left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leaderless.protocol.peer import Peer

HELLO_S: Final = 10.0
"""A peer that proved its key has this long for its first message."""
PING_S: Final = 15.0
SILENT_S: Final = 45.0
ANSWER_S: Final = 2.0
"""So long a peer is waited for that is asked what it has heard of us last (protocol/meeting.py)."""


def given_up(peer: Peer, now: float) -> tuple[str, str] | None:
    """Return why a peer is left, as a code and in words; None as long as it has time."""
    if peer.hello is None:
        return ("no_hello", "no hello came in time") if now >= peer.since + HELLO_S else None
    return ("silent", "nothing came for too long") if now >= peer.heard + SILENT_S else None


def is_to_be_asked(peer: Peer, now: float) -> bool:
    """Return whether a peer that said hello is asked for a sign now."""
    return peer.hello is not None and not peer.pinged and now >= peer.heard + PING_S


def next_look(peer: Peer) -> float:
    """Return when one of these comes to another answer if nothing is heard before."""
    if peer.hello is None:
        return peer.since + HELLO_S
    look = peer.heard + (SILENT_S if peer.pinged else PING_S)
    return look if peer.asked_word is None else min(look, peer.asked_word + ANSWER_S)
