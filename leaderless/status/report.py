"""The status report: pure, from what the rooms say to what a person reads.

Its first line is a verdict in words. "In sync" is said of a device only where both sides have shown
equal positions and equal hashes; of every other it says why not, and how far it is off.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from leaderless.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


NAMED: Final = 3
"""Warnings, and devices that are not in sync, that the first line names; it counts the rest."""


@dataclass(frozen=True)
class PeerView:
    """Another member as this device sees it now."""

    id: str
    name: str
    connected: bool
    address: str | None
    phase: str
    """away, hello, catching_up, live"""
    proved: bool
    proved_at_ms: str | None
    rows_behind: int
    commits_behind: int
    why_not: str | None
    last_seen_ms: str | None
    lapsed: bool = False
    """Whether it is away for longer than its lease: what it lacks may be forgotten meanwhile."""


@dataclass(frozen=True)
class RevokedView:
    """A device that is no member any more: by whose word, since when, and what came of it."""

    id: str
    name: str
    by: str
    at_ms: str
    refused_at_ms: str | None
    """When it called last, and was refused."""
    shelved: int
    """Its commits that are here and that nobody builds on: they take no effect."""


@dataclass(frozen=True)
class ScanView:
    """A location of this device."""

    location: str
    state: str
    entries_seen: int
    files_hashed: int
    errors: int
    first_errors: tuple[tuple[str, str], ...]
    message: str | None
    paused: bool = False
    """Whether a person wants its contents unread for now."""
    unhashed_files: str | None = None
    """How many are left to be read in a paused one, None if nobody has looked yet."""
    unhashed_bytes: str | None = None


@dataclass(frozen=True)
class Alert:
    """Something a person should know, and the act that mends it."""

    code: str
    text: str
    hint: str | None = None


@dataclass(frozen=True)
class View:
    """Everything the report is made from."""

    device: str
    device_id: str
    library: str
    now_ms: int
    peers: Sequence[PeerView]
    scans: Sequence[ScanView]
    warnings: Sequence[Alert]
    rows: int
    tags: int
    revoked: Sequence[RevokedView] = ()
    is_member: bool = True
    """Whether this device is one itself."""
    writes: bool = True
    """Whether this device may change anything: not while it takes its rows back, nor as a clone."""


def verdict(view: View) -> str:
    """Return the first line: what is so, in words."""
    alarms = [warning.text for warning in view.warnings]
    scanning = [scan.location for scan in view.scans if scan.state == "scanning"]
    parts = [_peers_verdict(view)]
    if scanning:
        parts.append(f"Indexing {listed(scanning)}.")
    paused = [scan.location for scan in view.scans if scan.paused]
    if paused:
        parts.append(f"Hashing is paused in {listed(paused)}.")
    if alarms:
        parts.append(_alarmed(alarms))
    return " ".join(parts)


def _alarmed(alarms: Sequence[str]) -> str:
    count = len(alarms)
    named = [alarm.rstrip(".") for alarm in alarms[:NAMED]]
    if count > NAMED:
        named.append(f"and {count - NAMED} more")
    end = "" if named[-1].endswith(("?", "!")) else "."
    return f"{counted(count, 'warning')}: {'; '.join(named)}{end}"


def _peers_verdict(view: View) -> str:
    peers = view.peers
    if not view.is_member:
        return "No member of this library any more."
    if not view.writes:
        return "Held up: this device changes nothing for now."
    if not peers:
        return f"Alone: no other device is a member{' any more' if view.revoked else ' yet'}."
    proved = [peer for peer in peers if peer.proved]
    rest = [peer for peer in peers if not peer.proved]
    if not rest:
        names = listed([peer.name for peer in proved])
        return f"In sync with {names}." if len(peers) < 4 else f"In sync with all {len(peers)}."
    whys = [_why(peer, view.now_ms) for peer in rest[:NAMED]]
    if len(rest) > NAMED:
        whys.append(f"and {len(rest) - NAMED} more")
    why = "; ".join(whys)
    if not proved:
        return f"Not in sync: {why}."
    return f"In sync with {len(proved)} of {len(peers)} devices; {why}."


def _why(peer: PeerView, now_ms: int) -> str:
    if not peer.connected:
        if peer.last_seen_ms is None:
            return f"{peer.name} was never seen"
        lapsed = " (lapsed)" if peer.lapsed else ""
        return f"{peer.name} was last seen {_ago(now_ms - int(peer.last_seen_ms))}{lapsed}"
    return f"{peer.name}: {peer.why_not or 'comparing'}"


def _ago(milliseconds: int) -> str:
    seconds = max(0, milliseconds // 1000)
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{counted(seconds // size, unit)} ago"
    return "just now"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: with an "and" before the last."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def health(view: View) -> str:
    """Return one word for machines: attention, busy or ok."""
    if view.warnings:
        return "attention"
    busy = any(scan.state == "scanning" for scan in view.scans)
    busy = busy or any(peer.connected and not peer.proved for peer in view.peers)
    return "busy" if busy else "ok"


def report(view: View) -> dict[str, Any]:
    """Return the whole report as JSON."""
    return {
        "verdict": verdict(view),
        "health": health(view),
        "device": view.device,
        "device_id": view.device_id,
        "library": view.library,
        "member": view.is_member,
        "in_sync": view.is_member
        and view.writes
        and bool(view.peers)
        and all(peer.proved for peer in view.peers),
        "rows": str(view.rows),
        "tags": str(view.tags),
        "peers": [asdict(peer) for peer in view.peers],
        "revoked": [asdict(device) for device in view.revoked],
        "locations": [asdict(scan) for scan in view.scans],
        "warnings": [asdict(warning) for warning in view.warnings],
    }
