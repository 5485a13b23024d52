"""The state of the shared records that comes in: when it is needed, and whom to ask for it.

It is needed where the log cannot go on, as the body of the next commit of a feed is forgotten, or
where records were damaged that it cannot make anew, or are others than those of most devices
(protocol/majority.py). One batch is asked for at a time, from a source that has applied all that the
first one had at the start; if it sends nothing for `STALLED_S`, or its link is gone, another goes
on. If nobody can, or the headers that are still lacking do not come, it begins anew with whoever has
what is needed, another than before if there is one. Once all is here it is to take effect, whoever
is connected then; a disk that takes nothing is asked again whenever this is looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leaderless.protocol.commands import Command, Send, TakeRecords
from leaderless.protocol.fetching import STALLED_S
from leaderless.protocol.limits import MAX_STREAMS
from leaderless.protocol.messages import SENDS_RECORDS, PullLog, PullRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leaderless.protocol.messages import Records, Vectors
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.trusting import Trust
    from leaderless.protocol.vectors import Holdings, Staging

PROMISED_S: Final = 120.0
"""Headers that somebody says he has, and that do not come for so long, are not waited for; nor is who
holds the records that most others held."""
FIRST: Final = b""
"""The place before all records: who asks for what comes after it begins anew."""


@dataclass(slots=True)
class _Asked:
    """The batch that was asked for last: on which link, after which place, when.

    `names` are the feeds and branches that both sides knew then. What did not fit may fit when one of
    them has heard of a fork.
    """

    link: int
    after: bytes
    when: float
    names: tuple[frozenset[bytes], frozenset[bytes]]
    failed: bool = False
    answered: bool = False
    """Whether the last batch came: what we hold is about to change, and then this is over."""


class Gathering:
    """What was asked of whom of the shared records."""

    def __init__(self, trust: Trust) -> None:
        """Ask those whose word of the records is taken, as `trust` remembers."""
        self._trust = trust
        self._asked: _Asked | None = None
        self._need: object = None
        self._lacking: dict[bytes, int] = {}
        self._begun: Counter[bytes] = Counter()
        self._stuck_since: float | None = None
        self._preferred: frozenset[bytes] = frozenset()
        self._without_since: float | None = None
        self.replan_at: float | None = None
        """When `plan` comes to another answer if nothing happens before."""

    def prefer(self, devices: frozenset[bytes]) -> None:
        """Ask these, if they are there, once our records are to give way to those of most."""
        self._preferred = devices
        self._without_since = None

    def lost(self, link: int) -> None:
        """A link is gone, and with it what was asked for on it."""
        if self._asked is not None and self._asked.link == link:
            self._asked = None

    def expects(self, link: int, batch: Records) -> bool:
        """Return whether a batch is what was asked for on this link."""
        asked = self._asked
        return asked is not None and (asked.link, asked.after) == (link, batch.after)

    def arrived(self, link: int, batch: Records, *, used: bool) -> None:
        """A batch is dealt with; `used` is False if it did not fit."""
        if self._asked is not None and self.expects(link, batch):
            self._asked.failed = not used
            self._asked.answered = used and batch.done

    def compare(self, link: int, batch: Records, ours: Vectors) -> list[Command]:
        """Ask whose first batch did not fit for the last commits of it that we should have, too.

        Where it has others there is a fork that one of us has not heard of: they make it known.
        """
        asked = [
            Send(link, PullLog(feed, seq - 1))
            for feed, seq in sorted(batch.as_of.items())
            if batch.after == FIRST and feed in ours.feeds and 1 <= seq <= ours.feeds[feed].received
        ]
        return [*asked[: MAX_STREAMS // 2]]

    def plan(self, peers: Iterable[Peer], ours: Holdings, now: float) -> list[Command]:
        """Ask for the next batch, if the state is needed and somebody can be asked for it.

        What is whole is to take effect.
        """
        self.replan_at = None
        able = [
            peer
            for peer in peers
            if peer.known and peer.hello is not None and peer.hello.version >= SENDS_RECORDS
        ]
        for peer in able:
            if now < self._trust.hears_records_at(peer.device):
                self._wake_at(self._trust.hears_records_at(peer.device))
        able = [peer for peer in able if now >= self._trust.hears_records_at(peer.device)]
        if ours.outvoted:
            able = self._with_others(able, ours, now)
        staging = ours.staging
        need = (staging, ours.forgotten, ours.damaged)
        changed, self._need = need != self._need, need
        if self._asked is not None and self._asked.answered and changed:
            self._asked = None
        if staging is None:
            if not ours.forgotten and not ours.damaged:
                self._begun.clear()
            return self._begin(_starters(able, ours), ours, now)
        if staging.whole:
            return [TakeRecords()]
        if staging.done:
            return self._wait_for_headers(able, ours, staging, now)
        fit = [peer for peer in able if _has_applied(peer, staging.start)]
        if fit:
            self._stuck_since = None
            return self._ask(fit, staging.cursor, ours, now)
        return self._start_anew(_starters(able, ours), ours, now, STALLED_S)

    def _with_others(self, able: list[Peer], ours: Holdings, now: float) -> list[Peer]:
        """Return who may give the records that most others hold.

        Who gave those here may do so again where for long nobody else is there: the others may never
        come back, and a device that is in doubt is in sync with nobody.
        """
        others = [peer for peer in able if peer.device not in ours.givers]
        if others:
            self._without_since = None
            return [peer for peer in others if peer.device in self._preferred] or others
        if self._without_since is None:
            self._without_since = now
        if now >= self._without_since + PROMISED_S:
            return able
        self._wake_at(self._without_since + PROMISED_S)
        return []

    def _wait_for_headers(
        self, able: list[Peer], ours: Holdings, staging: Staging, now: float
    ) -> list[Command]:
        """Wait as long as more of them come, or somebody says for some time that he has them."""
        lacking = _lacking(ours, staging)
        if lacking != self._lacking:
            self._lacking, self._stuck_since = lacking, None
        if not lacking:
            return []
        patience_s = PROMISED_S if _is_promised(able, staging, lacking) else STALLED_S
        return self._start_anew(_starters(able, ours), ours, now, patience_s)

    def _begin(self, starters: list[Peer], ours: Holdings, now: float) -> list[Command]:
        """Ask for all from the beginning, first whom we asked so least often."""
        starters = sorted(starters, key=lambda peer: self._begun[peer.device])
        commands = self._ask(starters, FIRST, ours, now)
        for peer in starters:
            if Send(peer.link, PullRecords(FIRST)) in commands:
                self._begun[peer.device] += 1
        return commands

    def _start_anew(
        self, starters: list[Peer], ours: Holdings, now: float, patience_s: float
    ) -> list[Command]:
        """Begin again, if for some time nobody has come who can go on."""
        if self._stuck_since is None:
            self._stuck_since = now
        until = self._stuck_since + patience_s
        if not starters:
            return []
        if now < until:
            self._wake_at(until)
            return []
        if self._asked is not None and self._asked.after != FIRST:
            self._asked = None  # who sent what is dropped now is none to be preferred
        return self._begin(starters, ours, now)

    def _ask(self, sources: list[Peer], after: bytes, ours: Holdings, now: float) -> list[Command]:
        """Ask one of these, the first if nothing speaks against it; or nobody for the time being."""
        asked = self._asked
        if asked is not None and asked.after == after and sources:
            until = asked.when + STALLED_S
            others = [peer for peer in sources if peer.link != asked.link]
            is_news = any(_names(ours, peer) != asked.names for peer in sources)
            if now < until and not (asked.failed and (others or is_news)):
                self._wake_at(until)
                return []
            sources = others or sources
        elif asked is not None:
            # Who sent the batch before has the next one in its memory.
            sources = [peer for peer in sources if peer.link == asked.link] or sources
        if not sources:
            return []
        self._asked = _Asked(sources[0].link, after, now, _names(ours, sources[0]))
        return [Send(sources[0].link, PullRecords(after))]

    def _wake_at(self, when: float) -> None:
        self.replan_at = when if self.replan_at is None else min(self.replan_at, when)


def _names(ours: Holdings, peer: Peer) -> tuple[frozenset[bytes], frozenset[bytes]]:
    return frozenset(ours.vectors.feeds), frozenset(peer.feeds)


def _has_applied(peer: Peer, vector: Mapping[bytes, int]) -> bool:
    return all(_applied(peer, feed) >= seq for feed, seq in vector.items())


def _applied(peer: Peer, feed: bytes) -> int:
    held = peer.feeds.get(feed)
    return 0 if held is None else held.applied


def _starters(peers: list[Peer], ours: Holdings) -> list[Peer]:
    """Return who has applied what is forgotten here, those of most feeds first.

    Where what is here is damaged, who has applied all of it.
    """
    if ours.damaged:
        applied = {feed: held.applied for feed, held in ours.vectors.feeds.items()}
        return [peer for peer in peers if _has_applied(peer, applied)]
    helps = {
        peer.link: sum(_applied(peer, feed) >= seq for feed, seq in ours.forgotten.items())
        for peer in peers
    }
    found = [peer for peer in peers if helps[peer.link]]
    return sorted(found, key=lambda peer: (-helps[peer.link], peer.link))


def _lacking(ours: Holdings, staging: Staging) -> dict[bytes, int]:
    """Return the feeds of which headers are still to come, and how much of them is here."""
    here = {feed: held.received for feed, held in ours.vectors.feeds.items()}
    return {
        feed: here.get(feed, 0) for feed, seq in staging.as_of.items() if here.get(feed, 0) < seq
    }


def _is_promised(peers: list[Peer], staging: Staging, lacking: Mapping[bytes, int]) -> bool:
    """Return whether of each of these feeds somebody says that he has what is still to come."""
    return all(
        any(
            feed in peer.feeds and peer.feeds[feed].received >= staging.as_of[feed]
            for peer in peers
        )
        for feed in lacking
    )
