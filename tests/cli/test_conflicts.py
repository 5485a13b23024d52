"""conflicts, asked of a real daemon and of one that answers as a test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.asking import Said, answering, http, run

Ask = Callable[..., Said]
HOSTILE = "red\x1b[31m\u202e\x9b2J"
LOST: dict[str, Any] = {
    "number": 1,
    "model": "tag",
    "record": "ab" * 16,
    "name": HOSTILE,
    "field": "attributes",
    "subkey": "place",
    "value": HOSTILE,
    "author": "berta",
    "at_ms": "1769817600000",
    "winning_value": HOSTILE,
    "winner": HOSTILE,
    "winner_at_ms": None,
    "cause": "overwritten",
}


def test_without_conflicts_standard_output_is_empty(ask: Ask) -> None:
    """A script counts no line; a person is told."""
    said = ask("conflicts")
    assert (said.code, said.out, said.err) == (0, "", "No conflicts.\n")


def test_conflicts_show_what_was_lost(tmp_path: Path) -> None:
    """Field and key, the value, who wrote it and why it lost, and none of it steers a terminal."""
    with answering(tmp_path, http({"conflicts": [LOST]})):
        said = run("--home", str(tmp_path), "conflicts")
    row = said.out.splitlines()[1]
    assert all(word in row for word in ("attributes.place", "red\\x1b[31m", "berta", "overwritten"))
    assert "\x1b" not in row


@pytest.mark.parametrize("arguments", [["conflicts", "--json"], ["conflicts", "list", "--json"]])
def test_the_list_is_there_for_programs(ask: Ask, arguments: list[str]) -> None:
    """With and without its verb."""
    said = ask(*arguments)
    assert (said.json()["conflicts"], said.err) == ([], "")


def test_what_settles_a_conflict_is_named_for_this_device(tmp_path: Path) -> None:
    """The command can be pasted."""
    with answering(tmp_path, http({"conflicts": [LOST]})):
        said = run("--home", str(tmp_path), "conflicts")
    assert f"`leaderless --home {tmp_path} conflicts restore NO`" in said.err


def test_one_conflict_is_shown_whole(tmp_path: Path) -> None:
    """Each of its facts has a line."""
    with answering(tmp_path, http({"conflicts": [LOST]})):
        said = run("--home", str(tmp_path), "conflicts", "show", "1")
    facts = [line.split()[0] for line in said.out.splitlines() if line.strip()]
    assert (facts, "\x1b" in said.out) == (list(LOST), False)


@pytest.mark.parametrize("verb", ["show", "restore", "dismiss"])
def test_a_number_that_no_conflict_has_is_not_found(ask: Ask, verb: str) -> None:
    """Exit 5, and nothing is settled."""
    assert ask("conflicts", verb, "77").code == 5


@pytest.mark.parametrize("arguments", [[], ["7", "--all"]])
def test_which_ones_rest_is_said_once(ask: Ask, arguments: list[str]) -> None:
    """Neither none nor one and all."""
    assert ask("conflicts", "dismiss", *arguments).code == 2


def test_how_many_were_dismissed_is_said(ask: Ask) -> None:
    """None, where there is none."""
    assert ask("conflicts", "dismiss", "--all").err == "Dismissed: 0.\n"
