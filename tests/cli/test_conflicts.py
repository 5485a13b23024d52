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
    "id": "cd" * 16,
    "short_id": "cdcdcdcd",
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
    assert f"`leaderless --home {tmp_path} conflicts restore ID`" in said.err


def test_one_conflict_is_shown_whole(tmp_path: Path) -> None:
    """In words: what lost and what is shown, by whom and when, and why; and what to do."""
    with answering(tmp_path, http({"conflict": LOST})):
        said = run("--home", str(tmp_path), "conflicts", "show", "cdcd")
    facts = [line.split()[0] for line in said.out.splitlines()]
    assert (facts, "\x1b" in said.out) == (
        ["what", "field", "lost", "shown", "why", "record"],
        False,
    )
    assert "why     a later value is shown" in said.out
    assert "conflicts restore cdcdcdcd`" in said.err


@pytest.mark.parametrize(
    ("cause", "words"),
    [("deleted", "(deleted)"), ("kept", "(it is there)"), ("remade", "(nothing)")],
)
def test_what_is_shown_instead_need_not_be_a_value(tmp_path: Path, cause: str, words: str) -> None:
    """Where the record is gone, where it is there against a delete, and where nothing is set."""
    item = {**LOST, "cause": cause, "winning_value": None, "winner": None}
    for verb, home in (("list", tmp_path / "a"), ("show cdcd", tmp_path / "b")):
        with answering(home, http({"conflicts": [item], "conflict": item})):
            shown = run("--home", str(home), "conflicts", *verb.split()).out
        assert words in shown
    assert f"shown   {words}\n" in shown


def test_a_parent_that_would_close_a_circle_is_listed_with_the_way_out(tmp_path: Path) -> None:
    """It lost, too, though no value did."""
    edge = {"child": "sea", "parent": "trip", "circle": ["trip", "sea"]}
    with answering(tmp_path, http({"conflicts": [], "circles": [edge]})):
        told = run("--home", str(tmp_path), "conflicts").err
    assert "sea under trip would close a circle with trip under sea" in told
    assert "tag unparent sea trip`" in told


def test_a_delete_that_lost_is_called_one(tmp_path: Path) -> None:
    """It has no field and no value."""
    item = {**LOST, "field": None, "subkey": None, "value": None, "cause": "kept"}
    with answering(tmp_path, http({"conflict": item})):
        shown = run("--home", str(tmp_path), "conflicts", "show", "cdcd").out
    assert "field   (all of it)" in shown
    assert "lost    (delete), by berta" in shown


@pytest.mark.parametrize("verb", ["show", "restore", "dismiss"])
@pytest.mark.parametrize("conflict", ["77", "77777777"])
def test_an_id_that_no_conflict_has_is_not_found(ask: Ask, verb: str, conflict: str) -> None:
    """Exit 5, and nothing is settled; a number is none."""
    assert ask("conflicts", verb, conflict).code == 5


def test_a_restore_names_what_takes_it_back(tmp_path: Path) -> None:
    """By the id of the action: another one may be the last by then."""
    action = "ef" * 16
    with answering(tmp_path, http({"restored": LOST, "action": action})):
        said = run("--home", str(tmp_path), "conflicts", "restore", "cdcd")
    assert f"undo {action}` takes it back." in said.err


def test_several_conflicts_are_dismissed_at_once(tmp_path: Path) -> None:
    """All their ids go along."""
    with answering(tmp_path, http({"dismissed": 2})) as requests:
        said = run("--home", str(tmp_path), "conflicts", "dismiss", "cdcd", "abab")
    assert (b'"ids": ["cdcd", "abab"]' in requests[0], said.err) == (True, "Dismissed: 2.\n")


@pytest.mark.parametrize("arguments", [[], ["7777", "--all"]])
def test_which_ones_rest_is_said_once(ask: Ask, arguments: list[str]) -> None:
    """Neither none nor one and all."""
    assert ask("conflicts", "dismiss", *arguments).code == 2


def test_how_many_were_dismissed_is_said(ask: Ask) -> None:
    """None, where there is none."""
    assert ask("conflicts", "dismiss", "--all").err == "Dismissed: 0.\n"
