"""What somebody at a terminal sees of long work."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from leaderless.cli.progress import done, shown_while
from leaderless.errors import UnreachableError


class Counting:
    """A daemon that has done a little more each time it is asked, and then lets the work end."""

    def __init__(self, *done: str | None) -> None:
        self._done = list(done)
        self.over = threading.Event()

    def get(self, path: str, timeout_s: float) -> dict[str, Any]:
        """Return how much is done; None: it does not answer."""
        assert (path, timeout_s) == ("/v1/progress", 5.0)
        if len(self._done) == 1:
            self.over.set()
        # Once the work may end it may still be asked for: it stays where it is.
        done = self._done.pop(0) if len(self._done) > 1 else self._done[0]
        if done is None:
            raise UnreachableError("no daemon answers")
        return {"done": done}


def _shown(client: Counting, answer: Any) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        client.over.wait()
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    return shown_while(ask, lambda: done(client), look_s=0.001)  # type: ignore[arg-type]


def test_what_is_done_is_told_until_the_answer_comes(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, which is gone at the end; a daemon too busy to say is no reason to stop."""
    assert _shown(Counting("0", "1200", None, "5000"), {"a": 1}) == {"a": 1}
    told = capsys.readouterr().err
    assert "1,200 done …" in told
    assert "5,000 done …" in told
    assert told.endswith("\r")
    assert "\n" not in told


def test_what_went_wrong_is_raised_where_it_is_waited_for() -> None:
    """As if there had been no progress."""
    with pytest.raises(ValueError, match="no"):
        _shown(Counting("0"), ValueError("no"))


def test_an_answer_that_comes_at_once_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Most work is not long."""
    assert shown_while(dict, lambda: "never", look_s=60.0) == {}
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_on_the_line_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that wraps could not be taken back."""
    monkeypatch.setenv("COLUMNS", "10")
    client = Counting("0")

    def told() -> str:
        client.over.set()
        return "Not in sync: ben was never seen"

    def ask() -> dict[str, Any]:
        client.over.wait()
        return {}

    shown_while(ask, told, look_s=0.001)
    assert max(map(len, capsys.readouterr().err.split("\r"))) == 9
