"""docs/api.md names each event that the daemon tells, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TOLD_BY = ("tell", "_tell", "Note")
_KIND = re.compile(r"[a-z]+(_[a-z]+)*")
_IN_LOG = {"dial_failed"}
_COMPUTED = {
    "gap": "leaderless/status/events.py",
    "restoring": "leaderless/store/restoring.py",
    "cloned": "leaderless/store/restoring.py",
    "scan_idle": "leaderless/indexer/passes.py",
    "scan_offline": "leaderless/indexer/passes.py",
    "scan_blocked": "leaderless/indexer/passes.py",
    "scan_error": "leaderless/indexer/passes.py",
}
"""Kinds that no call names as they are, and where the word stands."""


def _kinds_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        first: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0] if name in _TOLD_BY else None
        elif isinstance(node, ast.Tuple) and path.parent.name == "sync" and len(node.elts) == 2:
            first = None if isinstance(node.elts[1], ast.JoinedStr) else node.elts[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def _told() -> set[str]:
    files = (ROOT / "leaderless").rglob("*.py")
    kinds = {kind for path in files for kind in _kinds_in(path) if _KIND.fullmatch(kind)}
    return kinds | _COMPUTED.keys()


def _documented() -> set[str]:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("\n## Events\n")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {kind for row in rows for kind in re.findall(r"`([a-z_]+)`", row)}


def test_every_event_is_in_the_list_of_events_and_the_other_way_round() -> None:
    """Who follows the stream can look up whatever comes."""
    assert _told() - _IN_LOG == _documented()


def test_kinds_that_are_put_together_are_those_there_are() -> None:
    """Each word still stands where its kind is made."""
    for kind, path in _COMPUTED.items():
        word = kind.removeprefix("scan_")
        assert f'"{word}"' in (ROOT / path).read_text(encoding="utf-8"), kind
