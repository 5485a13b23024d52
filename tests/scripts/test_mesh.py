"""What is counted of a change among devices that are all connected."""

from __future__ import annotations

from pathlib import Path

from leaderless.protocol import codec
from leaderless.protocol.messages import LogBatch, Message, SignedCommit, StateBatch
from registry.changes import Incarnation, StateChange
from scripts.benchmarks.mesh import Copies, among
from scripts.benchmarks.pairs import Templates
from scripts.benchmarks.setting import Setting

LIFE = Incarnation(1, bytes(8))
ROWS = tuple((bytes([at]) * 16, at, "x") for at in (1, 2))


def _batch(*, introduction: bool) -> StateBatch:
    change = StateChange("volume", bytes(16), LIFE, ("display_name",), ROWS)
    return StateBatch(bytes(16), LIFE, 0, 2, 2, 2, (change,), introduction=introduction)


def test_each_commit_and_row_that_arrives_is_a_copy() -> None:
    """Whoever brings it; who introduces itself changes nothing."""
    commits = tuple(SignedCommit(b"header", bytes(64), b"body") for _ in range(3))
    counts = []
    messages: tuple[Message, ...] = (
        LogBatch(bytes(44), 0, 3, commits),
        _batch(introduction=False),
        _batch(introduction=True),
    )
    for message in messages:
        copies = Copies()
        copies.delivered("anna", "ben", codec.encode(message))
        counts.append(copies.count)
    assert counts == [3, 2, 0]


def test_every_device_gets_a_change_and_is_waited_for(tmp_path: Path) -> None:
    """An edit and a row, by as many authors as there are runs; each has its floor and its goals."""
    said: list[str] = []
    setting = Setting(0, 2, tmp_path, Templates(tmp_path, said.append), said.append)
    figures = list(among(3, setting))
    assert [(figure.unit, len(figure.values)) for figure in figures] == [
        ("copies", 2),
        ("hops", 2),
    ] * 2
    for figure in figures:
        assert figure.all_met
        assert min(figure.values) >= (2 if figure.unit == "copies" else 0.5)
    assert {figure.floor for figure in figures} == {2.0, None}
    assert said[-1] == "run 2 of 2"
