"""What the status report warns of, from facts alone: what it is, and what a person can do about it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from leaderless.daemon.facts import called
from leaderless.escape import printable
from leaderless.status.report import Alert, listed
from leaderless.store import came_back, restoring, revocations
from leaderless.words import counted

_GOES_ON_S: Final = 600.0
"""A restored device goes on half a minute after it has its rows: millions take minutes."""

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


def fork_alerts(
    facts: Facts, own: bytes, connected_s: Mapping[bytes, float], now_ms: int
) -> Iterator[Alert]:
    """Yield who signed two commits as one, until it goes on in a new life, as who was restored does.

    `connected_s`: for how many seconds each connected device is. Of this device (`own`) it is said
    why already, as long as it writes nothing.
    """
    for fork in facts.open_forks:
        if fork.device == own and facts.holdings.life:
            continue
        who = called(facts, fork.device)
        what = f"it signed two different commits as number {fork.at}, and both count"
        here_s = connected_s.get(fork.device, 0.0)
        if fork.knew:
            yield Alert(
                "FORKED",
                f"{who} writes on in a life of which it knows two branches: {what}; two machines run"
                " as it, or it is dishonest",
                "run one machine alone as that device; leaderless device revoke"
                f" {fork.device.hex()[:8]} takes it out, if nobody knows why there are two",
            )
        elif fork.noted_ms and min(here_s, (now_ms - fork.noted_ms) / 1_000) >= _GOES_ON_S:
            yield Alert(
                "FORKED",
                f"{who} is connected and has not gone on for long, as who was restored from a backup"
                f" does: {what}",
                "leaderless status on that device says what it waits for; run one machine alone as it",
            )
        elif fork.device in connected_s:
            yield Alert(
                "PEER_RESTORED",
                f"{who} was restored from a backup, it seems, and takes its rows back before it goes"
                f" on: {what}",
                "nothing is to be done: half a minute as a rule, longer for very many files",
            )
        else:
            yield Alert(
                "PEER_RESTORED",
                f"{who} seems to have been restored from a backup: {what}; it takes its rows back and"
                " goes on when it is met",
                "nothing is to be done, unless two machines run as that device: then end one of them",
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


def life_alerts(
    facts: Facts, awaited: Sequence[str], left_s: float | None, now_ms: int
) -> Iterator[Alert]:
    """Yield why this device writes nothing of its own, if that is so, or that this is over.

    `awaited` are the names of members that it waits for, for so many seconds at most if that is known.
    """
    life, given = facts.holdings.life, facts.given
    if life == restoring.RESTORING and given is not None:
        yield Alert(
            "RESTORING",
            f"{_why_back(facts, now_ms)}, and takes the newer state back from"
            f" {called(facts, given.source)}: {given.reached} of {given.as_of} changes are here;"
            " until then it changes nothing",
        )
    elif life == restoring.RESTORING:
        yield Alert(
            "RESTORING",
            f"{_why_back(facts, now_ms)}: {waited_for(facts, awaited, left_s)}, and changes"
            " nothing until then",
            "it goes on by itself, half a minute after the last one has given what it knows;"
            " leaderless device claim goes on at once, without what they know: files found since the"
            " backup get new ids, and lose the notes and tags of others",
        )
    if life == restoring.CLONED:
        yield Alert(
            "CLONED",
            "another machine runs as this device, with the same key: one of the two has to go",
            "leaderless device claim, on the one that stays and once the other has stopped; that other"
            " one needs a home and a key of its own (init)",
        )
    if not life:
        yield from _came_back(facts, now_ms)


def waited_for(facts: Facts, awaited: Sequence[str], left_s: float | None) -> str:
    """Return what a device waits for that takes its rows back; what is given as of `life_alerts`."""
    given = facts.given
    if given is not None:
        source = called(facts, given.source)
        return f"{given.reached} of {given.as_of} changes are here from {source}"
    left = "" if left_s is None else f", {counted(math.ceil(left_s), 'second')} more at most"
    return f"it waits for {_awaited(awaited)}{left}"


def _why_back(facts: Facts, now_ms: int) -> str:
    """Return why a device takes its rows back, and since when it knows."""
    told = facts.came_back
    if told is not None and not told.at_ms and told.claimed:
        return "this device was claimed, after another machine had gone on as it"
    return f"this device was put back to an older state of its files{_since(facts, now_ms)}"


def _since(facts: Facts, now_ms: int) -> str:
    """Return since when this device knows that it was restored; nothing in its first second."""
    seconds = 0 if facts.restoring_ms is None else (now_ms - facts.restoring_ms) // 1_000
    return f", as it found {counted(seconds, 'second')} ago" if seconds > 0 else ""


def _awaited(names: Sequence[str]) -> str:
    if not names:
        return "members that may know more of it"
    return f"{listed(names)}, who may know more of it"


def _came_back(facts: Facts, now_ms: int) -> Iterator[Alert]:
    """Yield that this device was restored or claimed and goes on, for a week or until it was seen."""
    told = facts.came_back
    if told is None or not told.at_ms or now_ms >= told.at_ms + came_back.TOLD_MS:
        return
    at = datetime.fromtimestamp(told.at_ms / 1_000, UTC)
    parts = ["nobody who was there knew more of its files than it did"]
    if told.source:
        parts = [f"{counted(told.rows, 'row')} of it came back from {called(facts, told.source)}"]
    if told.kept:
        verb = "stays" if told.kept == 1 else "stay"
        since = "meanwhile" if told.claimed else "since the backup"
        parts.append(f"{told.kept} that it had found {since} {verb}")
    if told.left:
        parts.append(f"{told.left} more went, as the folder they were in was deleted meanwhile")
    yield Alert(
        "RESTORED",
        f"this device was {'claimed' if told.claimed else 'restored from a backup'}, and goes on since"
        f" {at:%Y-%m-%d %H:%M} UTC: {', '.join(parts)}",
        "leaderless status --acknowledge",
    )
