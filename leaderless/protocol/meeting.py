"""What a peer is asked before it is told anything new of us.

Who knows of our incarnation says what it has heard of us last before we tell it anything new: if that
is our word on other rows than we remember, we were restored from a backup, and what we have written
since would take the place of what it can give back (protocol/returning.py). Who holds no row of it may
have heard such a word, too: it takes all of our rows anew, or has dropped them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from leaderless.protocol.checkpoint import Checkpoint, name_of
from leaderless.protocol.commands import Introduce, Key, Send, Stream
from leaderless.protocol.messages import PullState, StateBatch
from leaderless.protocol.returning import knows_more
from leaderless.protocol.serving import serve
from leaderless.protocol.silence import ANSWER_S

if TYPE_CHECKING:
    from leaderless.protocol.commands import Command
    from leaderless.protocol.fetching import Fetching
    from leaderless.protocol.messages import Message
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings

ANSWERS: Final = (1, 1)
"""The version of the protocol from which on a peer says that there is nothing more of a stream."""


def meet(peer: Peer, own: bytes, library: bytes, ours: Holdings, now: float) -> list[Command]:
    """A peer has said what it holds: tell it who we are, once it has said what it heard of us."""
    theirs, mine = peer.owned.get(own), ours.vectors.owned.get(own)
    answers = peer.hello is not None and peer.hello.version >= ANSWERS
    if theirs is None or mine is None or not answers:
        return [Introduce(peer.link)]
    # Where both are at the start, equal digests of positions do not tell whether the peer knows of us.
    says_nothing = not theirs.watermark and not mine.watermark
    if says_nothing or theirs.incarnation != mine.incarnation:
        return [Introduce(peer.link)]
    peer.asked_word = now
    if knows_more(peer, own, ours):
        return []  # it is asked for all of it anyway
    known = _word(own, library, ours) if theirs == mine else b""
    peer.may_agree = known != b""
    return [Send(peer.link, PullState(own, theirs.incarnation, theirs.watermark, known))]


def _word(own: bytes, library: bytes, ours: Holdings) -> bytes:
    """Return the name of our own word on our rows as they are; b"" where there may be another."""
    if ours.life or ours.disputed is not None:
        return b""
    incarnation, rev = ours.vectors.owned[own]
    return name_of(Checkpoint(library, own, incarnation, rev, *ours.owned[own]).encode())


def agrees(peer: Peer, message: StateBatch, own: bytes) -> bool:
    """Return whether a peer says that what it heard of us last is the word that it was told."""
    is_empty = not message.checkpoint and not message.changes and message.lo == message.head
    return peer.may_agree and is_empty and is_answer(peer, message, own)


def is_answer(peer: Peer, message: Message, own: bytes) -> bool:
    """Return whether a message says what a peer heard of us, as it was asked to.

    It was asked behind its position, so what brings rows from the start is something else.
    """
    if peer.asked_word is None or not isinstance(message, StateBatch) or message.owner != own:
        return False
    return message.lo > 0 or not message.head


def answered(peer: Peer, message: Message, own: bytes) -> None:
    """A message of a peer is to be applied: if it says what that heard of us, no time ends the wait.

    It may take long until it is durable here, and on a full disk it never is: links begin anew then.
    """
    is_of_us = isinstance(message, StateBatch) and message.owner == own
    if is_of_us and peer.asked_word is not None:
        peer.asked_word = math.inf


def met(peer: Peer, own: bytes, ours: Holdings) -> list[Command]:
    """A peer has said what it heard of us last, or was waited for: tell it what is new.

    Who holds all of our rows has the one on ourselves among them.
    """
    peer.asked_word = None
    knows = peer.owned.get(own) == ours.vectors.owned.get(own)
    return [*([] if knows else [Introduce(peer.link)]), *serve(peer, ours.vectors, own)]


def was_waited_for(peer: Peer, own: bytes, ours: Holdings, fetching: Fetching, now: float) -> bool:
    """Return whether a peer had its time to say what it heard of us, and has nothing to give."""
    if peer.asked_word is None or now < peer.asked_word + ANSWER_S:
        return False
    if knows_more(peer, own, ours) and fetching.may_bring(peer, Key(Stream.STATE, own), now):
        peer.asked_word = now  # it is looked at again
        return False
    return True
