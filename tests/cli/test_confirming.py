"""Asking a person before something that cannot be taken back."""

from __future__ import annotations

import io
import sys

import click
import pytest

from leaderless.cli.app import Context
from leaderless.cli.confirming import make_sure
from leaderless.errors import UsageError


class Keyboard(io.StringIO):
    """Standard input where somebody types, or that is no terminal."""

    def __init__(self, typed: str, *, terminal: bool = True) -> None:
        super().__init__(typed)
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether it plays a terminal."""
        return self._terminal


def _ask(*, json: bool = False) -> None:
    make_sure(Context(home="/h", json=json), "this burns", "Burn it?", "burn --yes")


def test_who_says_yes_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The question is no data: it is on standard error."""
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n"))
    _ask()
    said = capsys.readouterr()
    assert (said.out, "Burn it? [y/N]" in said.err) == ("", True)


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_anything_else_ends_it(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """No is what counts without an answer."""
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    with pytest.raises(click.exceptions.Abort):
        _ask()


@pytest.mark.parametrize(("terminal", "json"), [(False, False), (True, True)])
def test_without_a_person_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, json: bool
) -> None:
    """A script is refused, and told how it does it unasked."""
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n", terminal=terminal))
    with pytest.raises(UsageError, match="this burns") as refused:
        _ask(json=json)
    assert refused.value.hint == "leaderless --home /h burn --yes"
