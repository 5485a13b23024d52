"""The verdict in words."""

from __future__ import annotations

from dataclasses import replace

from leaderless.status.report import Alert, PeerView, ScanView, View, health, report, verdict

NOW = 1_800_000_000_000
BEN = PeerView("b", "ben", True, "x:1", "live", True, str(NOW), 0, 0, None, str(NOW))
NAS = replace(
    BEN,
    id="n",
    name="nas",
    connected=False,
    proved=False,
    phase="away",
    why_not="not connected",
    last_seen_ms=str(NOW - 3 * 86_400_000),
)
VIEW = View("anna", "a", "home", NOW, [BEN], [], [], 5, 1)


def test_in_sync_is_said_of_proved_peers_alone() -> None:
    """With every peer proved the verdict is in sync; without, it says with how many."""
    assert verdict(VIEW) == "In sync with ben."
    mixed = replace(VIEW, peers=[BEN, NAS])
    assert verdict(mixed) == "In sync with 1 of 2 devices; nas was last seen 3 days ago."


def test_a_connected_peer_that_is_not_proved_says_why() -> None:
    """Connected is not in sync: the reason stands in the first line."""
    behind = replace(
        BEN, proved=False, why_not="12 changes and 0 commits are still to come from it"
    )
    found = verdict(replace(VIEW, peers=[behind]))
    assert found == "Not in sync: ben: 12 changes and 0 commits are still to come from it."
    assert health(replace(VIEW, peers=[behind])) == "busy"


def test_nobody_else_is_said_so() -> None:
    """A device alone claims nothing."""
    assert verdict(replace(VIEW, peers=[])) == "Alone: no other device is a member yet."
    assert not report(replace(VIEW, peers=[]))["in_sync"]


def test_times_are_said_as_people_say_them() -> None:
    """Never, just now, minutes, hours."""
    said = []
    for seen in (None, NOW, NOW - 60_000, NOW - 7_200_000):
        peer = replace(NAS, last_seen_ms=None if seen is None else str(seen))
        said.append(verdict(replace(VIEW, peers=[peer])))
    assert said == [
        "Not in sync: nas was never seen.",
        "Not in sync: nas was last seen just now.",
        "Not in sync: nas was last seen 1 minute ago.",
        "Not in sync: nas was last seen 2 hours ago.",
    ]


def test_many_peers_are_counted_and_scans_named() -> None:
    """Four proved peers are a number, running scans and warnings are added."""
    scan = ScanView("docs", "scanning", 5, 0, 0, (), None)
    view = replace(
        VIEW, peers=[BEN] * 4, scans=[scan, scan], warnings=[Alert("X", "something is off")]
    )
    assert verdict(view) == (
        "In sync with all 4. Indexing docs and docs. 1 warning: something is off."
    )
    assert health(view) == "attention"
    assert health(replace(view, warnings=[])) == "busy"
    assert health(VIEW) == "ok"
