"""What may be forgotten: bodies of commits, tombstones, old losses. Who holds what decides it.

A body may go once it has taken effect here, when either everybody holds the commit or nothing of it
is left in any record; never while it is among those that people still take back, and none of our own
before somebody else has applied it, if there is anybody.

===============  ============  =====================  ==========================================
commit           newest few    younger than history   older
===============  ============  =====================  ==========================================
not applied      stays         stays                  stays
in effect        stays         stays                  goes once everybody holds it
superseded       stays         goes, unless what      goes
                               replaced it is in
                               effect and as young
===============  ============  =====================  ==========================================

What we have written is held by its effect as well: were this device put back to a backup that is
older, others would have its header and nobody the state that it made. So such a commit waits for one
other member that has *applied* it; what others wrote had taken effect at its author before it came.

*Everybody* are the members that are not lapsed, this device aside. A member holds what it has told,
what its own commits name as applied, and its own feeds; one that has never said anything holds
nothing. Who was not seen for the length of a lease is lapsed and holds nothing back: it is given the
state of all records when it returns. So who holds what need not be right for the result to be right:
no time does, and a member that was restored may hold less than it once said.

No clock and no database live here: the facts are handed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

LEASE_MS: Final = 180 * 86_400_000
"""How long a member may be away, if nothing else is configured."""

Held = tuple[bytes, bytes]
"""A member and a feed."""


class Terms(NamedTuple):
    """How long people may reach back; times in milliseconds."""

    history_ms: int
    """Younger commits can be taken back and read, as long as they are in effect."""
    history_commits: int
    """So many of the newest are kept, however old and whatever became of them."""
    lease_ms: int
    """Who was not seen for longer holds nothing back."""
    journal_ms: int
    """A conflict that nobody has decided for longer is not listed any more."""


def lapsed(seen_ms: Mapping[bytes, int], now_ms: int, lease_ms: int) -> dict[bytes, int]:
    """Return the members whose lease is over, each with when it was seen last.

    `seen_ms` has every member but this device; who was never seen since it was admitted has the time
    of that.
    """
    return {device: seen for device, seen in seen_ms.items() if now_ms - seen > lease_ms}


def held_by_all(
    applied: Mapping[bytes, int], others: Collection[bytes], held: Mapping[Held, int]
) -> dict[bytes, int]:
    """Return up to which number every one of `others` holds each feed, as far as it is applied here.

    `held` is up to where a member is known to hold a feed; what is not in it is not held. Its own
    feeds a member holds.
    """
    return {
        feed: min(
            [mine, *(held.get((device, feed), 0) for device in others if device != feed[:16])]
        )
        for feed, mine in applied.items()
    }


def outlives_us(
    own: bytes,
    applied: Mapping[bytes, int],
    others: Collection[bytes],
    effective: Mapping[Held, int],
) -> dict[bytes, int]:
    """Return up to which number the effect of each feed is known to be elsewhere than on this device.

    Of feeds that device `own` wrote that is what one of `others` at least has applied (`effective`),
    or all of it if there are no others; those of others count as far as they are applied here.
    """
    return {
        feed: min(mine, max(effective.get((device, feed), 0) for device in others))
        if others and feed[:16] == own
        else mine
        for feed, mine in applied.items()
    }


def covered(others: Collection[bytes], told: Mapping[bytes, int]) -> int | None:
    """Return the rev up to which every one of `others` holds an owner's tombstones; None: all of them.

    `told` are the watermarks that members have told of the owner's present incarnation.
    """
    return min((told.get(device, 0) for device in others), default=None)


class Marks:
    """A set of positions in feeds: a bit for each commit, however many there are."""

    def __init__(self, applied: Mapping[bytes, int]) -> None:
        """Take positions of these feeds up to these numbers; others are passed over."""
        self._applied = dict(applied)
        self._bits = {feed: bytearray(most // 8 + 1) for feed, most in applied.items()}

    def add(self, feed: bytes, seq: int) -> None:
        """Mark a position."""
        if 0 < seq <= self._applied.get(feed, 0):
            self._bits[feed][seq >> 3] |= 1 << (seq & 7)

    def update(self, positions: Iterable[tuple[bytes, int]]) -> None:
        """Mark positions."""
        for feed, seq in positions:
            self.add(feed, seq)

    def __contains__(self, position: object) -> bool:
        """Return whether a position (feed, seq) is marked."""
        match position:
            case (bytes(feed), int(seq)) if 0 < seq <= self._applied.get(feed, 0):
                return bool(self._bits[feed][seq >> 3] & 1 << (seq & 7))
        return False


class Remembered(NamedTuple):
    """A commit that has its body: where it stands, when it came, whether it is one of the newest."""

    feed: bytes
    seq: int
    received_ms: int
    newest: bool


class Retention(NamedTuple):
    """What is known when it is decided which bodies go."""

    applied: Mapping[bytes, int]
    everywhere: Mapping[bytes, int]
    """Up to where everybody holds each feed (`held_by_all`)."""
    elsewhere: Mapping[bytes, int]
    """Up to where the effect of each feed would outlive this device (`outlives_us`)."""
    in_effect: Marks
    """Commits of which something is left in a record."""
    replaced: Marks
    """Commits that such ones have replaced which can be taken back: what stood there is asked for."""
    young_ms: int
    """Commits that came since then are within what people look back to."""

    def is_reversible(self, commit: Remembered) -> bool:
        """Return whether people may take a commit back, so that what it replaced is kept, too."""
        if commit.newest:
            return True
        is_young = commit.received_ms >= self.young_ms
        return is_young and (commit.feed, commit.seq) in self.in_effect

    def may_go(self, commit: Remembered) -> bool:
        """Return whether the body of a commit may be forgotten."""
        at = (commit.feed, commit.seq)
        if commit.newest or commit.seq > self.applied.get(commit.feed, 0):
            return False
        if commit.seq > self.elsewhere.get(commit.feed, 0) or at in self.replaced:
            return False
        if at not in self.in_effect:
            return True
        is_young = commit.received_ms >= self.young_ms
        return not is_young and commit.seq <= self.everywhere.get(commit.feed, 0)
