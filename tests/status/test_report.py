"""The verdict in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.status.report import (
    Alert,
    PeerView,
    RevokedView,
    ScanView,
    View,
    health,
    report,
    verdict,
)

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


def test_one_location_that_is_indexed_is_named_alone() -> None:
    """Scans that rest are not spoken of."""
    scans = [
        ScanView(name, state, 5, 0, 0, (), None)
        for name, state in (("a", "idle"), ("b", "scanning"))
    ]
    assert verdict(replace(VIEW, scans=scans)) == "In sync with ben. Indexing b."


def test_the_report_holds_all_that_the_verdict_is_made_from() -> None:
    """Programs get the parts; counts are decimal strings."""
    scan = ScanView("docs", "idle", 5, 0, 1, (("/x", "no"),), None)
    found = report(replace(VIEW, scans=[scan], warnings=[Alert("X", "off", "mend it")]))
    assert (found["rows"], found["tags"], found["in_sync"], found["health"]) == (
        "5",
        "1",
        True,
        "attention",
    )
    assert found["peers"][0]["name"] == "ben"
    assert found["locations"][0]["first_errors"] == (("/x", "no"),)
    assert found["warnings"] == [{"code": "X", "text": "off", "hint": "mend it"}]


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


def _warned(*texts: str) -> str:
    """Return what the verdict says after the devices."""
    view = replace(VIEW, warnings=[Alert("X", text) for text in texts])
    return verdict(view).removeprefix("In sync with ben. ")


def test_each_warning_is_named() -> None:
    """Two warnings are two sentences' worth, not a number and the first of them."""
    assert _warned("docs: gone", "clocks differ") == "2 warnings: docs: gone; clocks differ."


def test_many_warnings_are_named_in_part_and_counted() -> None:
    """The line stays one that can be read."""
    assert _warned("a", "b", "c", "d", "e") == "5 warnings: a; b; c; and 2 more."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("is the drive unplugged?", "1 warning: is the drive unplugged?"),
        ("watch out!", "1 warning: watch out!"),
        ("it ends.", "1 warning: it ends."),
    ],
)
def test_a_warning_keeps_its_own_end(text: str, said: str) -> None:
    """No second sign is put after a question."""
    assert _warned(text) == said


def test_many_peers_that_are_behind_are_named_in_part_and_counted() -> None:
    """The first three say why, the rest is a number."""
    away = [replace(NAS, name=f"nas{at}", last_seen_ms=None) for at in range(5)]
    assert verdict(replace(VIEW, peers=away)) == (
        "Not in sync: nas0 was never seen; nas1 was never seen; nas2 was never seen; and 2 more."
    )


def test_in_sync_is_false_while_one_is_not_proved() -> None:
    """Programs read the same as people do; alone counts as not."""
    found = [report(replace(VIEW, peers=peers))["in_sync"] for peers in ([BEN], [BEN, NAS], [])]
    assert found == [True, False, False]


@pytest.mark.parametrize(
    ("ago_ms", "said"),
    [
        (-5_000, "just now"),
        (59_999, "just now"),
        (3_600_000, "1 hour ago"),
        (86_400_000, "1 day ago"),
        (40 * 86_400_000, "40 days ago"),
    ],
)
def test_a_time_is_in_its_largest_unit(ago_ms: int, said: str) -> None:
    """A clock that was set back makes no negative time."""
    peer = replace(NAS, last_seen_ms=str(NOW - ago_ms))
    assert verdict(replace(VIEW, peers=[peer])) == f"Not in sync: nas was last seen {said}."


def test_who_may_change_nothing_is_not_in_sync_yet() -> None:
    """It takes its rows back, or was cloned: whoever waits for it goes on waiting."""
    held_up = replace(VIEW, writes=False)
    assert verdict(held_up) == "Held up: this device changes nothing for now."
    assert report(held_up)["in_sync"] is False


def test_who_is_no_member_is_in_sync_with_nobody() -> None:
    """Whatever was proved before; and who has revoked all others is alone again."""
    out = replace(VIEW, is_member=False)
    assert verdict(out) == "No member of this library any more."
    assert (report(out)["member"], report(out)["in_sync"]) == (False, False)
    gone = RevokedView("c", "cy", "anna", str(NOW), None, 0)
    for revoked, end in (((), "yet"), ((gone,), "any more")):
        alone = replace(VIEW, peers=[], revoked=revoked)
        assert verdict(alone) == f"Alone: no other device is a member {end}."


def test_the_first_line_says_where_hashing_is_paused() -> None:
    """A person wanted it so: it is no warning."""
    paused = ScanView("photos", "idle", 5, 0, 0, (), None, True, "3", "7")
    found = replace(VIEW, scans=[paused])
    assert verdict(found) == "In sync with ben. Hashing is paused in photos."
    assert health(found) == "ok"
