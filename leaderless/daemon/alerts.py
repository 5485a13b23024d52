"""What the status report warns of, from facts alone: what it is, and what a person can do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from leaderless.daemon.facts import called
from leaderless.escape import printable
from leaderless.status.report import Alert
from leaderless.store import restoring, revocations
from leaderless.words import counted
from registry.changes import feed_incarnation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from leaderless.daemon.facts import Facts
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings
    from leaderless.status.report import RevokedView


def circle_alerts(facts: Facts) -> list[Alert]:
    """Return what is to be known of tags that two devices have put under each other."""
    return [
        Alert(
            "TAG_CIRCLE",
            f"tag {edge['child']} is not under {edge['parent']}: that would close a circle",
            f"leaderless tag show {edge['child_id']}",
        )
        for edge in facts.circles
    ]


def revoked_alerts(gone: Sequence[RevokedView], own: bytes) -> Iterator[Alert]:
    """Yield that this device is no member any more, if that is so."""
    for device in gone:
        if device.id == own.hex():
            yield Alert(
                "REVOKED",
                f"this device was revoked by {device.by} on {_day(int(device.at_ms))}: nobody"
                " takes its calls, and it takes no edits; what it holds can still be read",
                revocations.ADMITTED_ANEW,
            )


def _day(at_ms: int) -> str:
    return str(datetime.fromtimestamp(at_ms / 1000, UTC).date())


def fork_alerts(facts: Facts) -> Iterator[Alert]:
    """Yield who signed two commits as one, unless it was restored and goes on in a new incarnation."""
    for feed in facts.forked:
        device = feed.feed[:16]
        newest = facts.holdings.vectors.owned.get(device)
        if newest is not None and newest.incarnation > feed_incarnation(feed.feed):
            continue
        yield Alert(
            "FORKED",
            f"{called(facts, device)} signed two different commits as number {feed.forked}: it was"
            " restored a moment ago (then this ends within a minute), or it was cloned, or it is"
            " dishonest; both count",
            "if this stays: run one machine alone as that device; only if nobody knows why, take it out"
            " with `leaderless device revoke`",
        )


def relay_alert(facts: Facts, device: bytes, owner: bytes, why: str) -> Alert:
    """Return what is to be known of a device that does not hand on what it got, as far as it seems."""
    whose = called(facts, owner)
    hint = "run leaderless verify on that device; what is missing comes from any other"
    if any(feed.feed[:16] == owner for feed in facts.forked):
        hint = f"{whose} has signed two different things, so this may be no fault of that device"
    text = f"what {called(facts, device)} hands on of {whose} is not used: {printable(why)}"
    return Alert("RELAY_DISTRUSTED", text, hint)


def altered_alerts(facts: Facts, altered: Mapping[bytes, float], now: float) -> Iterator[Alert]:
    """Yield who gave other shared records than most hold; `altered`: until when it is not asked."""
    for device in sorted(device for device, until in altered.items() if now < until):
        yield Alert(
            "RELAY_DISTRUSTED",
            f"the tags, albums and notes that {called(facts, device)} gave were not those that"
            " others agree about: they are replaced, and not taken from it for an hour",
            "run leaderless verify on that device",
        )


def fetching_alerts(holdings: Holdings, connected: Mapping[bytes, Peer]) -> Iterator[Alert]:
    """Yield that the state of the records is fetched, or that nobody is here to give it."""
    if holdings.staging is not None or (holdings.forgotten and connected):
        yield Alert("FETCHING_RECORDS", fetched(holdings))
    elif holdings.outvoted:
        yield Alert(
            "FETCHING_RECORDS",
            "the tags, albums and notes here were given by a device, and are not those that others"
            " agree about: theirs are needed",
            "connect a device that holds what most hold",
        )
    elif holdings.damaged:
        yield Alert(
            "FETCHING_RECORDS",
            "the tags, albums and notes here are damaged: those of another device are needed",
            "connect a device that was in sync with this one",
        )
    elif holdings.forgotten:
        yield Alert(
            "FETCHING_RECORDS",
            "the content of old edits is forgotten: the state of the records is needed instead",
            "connect a device that has been in touch with the others",
        )


def fetched(holdings: Holdings) -> str:
    """Return how far the state of the records has been fetched."""
    staging = holdings.staging
    so_far = "nothing" if staging is None else counted(staging.count, "record")
    why = "most others hold other ones" if holdings.outvoted else "old edits are forgotten"
    rest = "so far" if staging is None or not staging.done else "are here, the log is still to come"
    return f"the state of the records is fetched, as {why}: {so_far} {rest}"


def life_alerts(facts: Facts) -> Iterator[Alert]:
    """Yield why this device writes nothing of its own, if that is so."""
    life, given = facts.holdings.life, facts.given
    if life == restoring.RESTORING and given is not None:
        yield Alert(
            "RESTORING",
            "this device was put back to an older state of its files, and takes its newer one back"
            f" from {called(facts, given.source)}: {given.reached} of {given.as_of} changes are"
            " here; until then it changes nothing",
        )
    elif life == restoring.RESTORING:
        yield Alert(
            "RESTORING",
            "this device was put back to an older state of its files: it waits for members that may"
            " know more of it, and changes nothing until then",
            "half a minute at most, unless one gives back what it knows. `leaderless device claim` goes"
            " on at once, without what they know: files found since the backup get new ids, and lose"
            " the notes and tags of others",
        )
    if life == restoring.CLONED:
        yield Alert(
            "CLONED",
            "another machine runs as this device, with the same key: one of the two has to go",
            "on the one that stays: leaderless device claim; on the other: leaderless init anew",
        )
