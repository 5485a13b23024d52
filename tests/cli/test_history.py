"""history, changes and undo, asked of a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.asking import Said

Ask = Callable[..., Said]


def _last(ask: Ask) -> dict[str, Any]:
    """Return the newest action."""
    actions: list[dict[str, Any]] = ask("--json", "history", "--limit", "1").json()["actions"]
    return actions[0]


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        (["create", "{0}"], {"{1}": "{0}"}),
        (["rename", "{0}", "{0}2"], {"{1}": "{0}", "to": "{0}2"}),
        (["delete", "{0}2"], {"{1}": "{0}2"}),
        (["restore", "{0}2"], {"{1}": "{0}2"}),
    ],
)
@pytest.mark.parametrize("kind", ["tag", "album"])
def test_an_action_says_what_it_was_done_to(
    ask: Ask, kind: str, verb: list[str], data: dict[str, str]
) -> None:
    """By the name of that time, though it has another now or is gone."""
    name = f"old {kind}"
    ask(kind, *(word.format(name) for word in verb))
    told = _last(ask)
    wanted = {key.format(name, kind): value.format(name) for key, value in data.items()}
    assert (told["command"], told["data"]) == (f"{kind}.{verb[0]}", wanted)


def test_a_new_name_stands_behind_the_old(ask: Ask) -> None:
    """One line says what became what."""
    ask("tag", "create", "holiday")
    ask("tag", "rename", "holiday", "summer")
    assert "holiday → summer" in ask("history", "--limit", "1").out
