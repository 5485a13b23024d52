"""Telling somebody at a terminal how far the daemon has come with what it was asked."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any, Final

import click

from leaderless.errors import LeaderlessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaderless.cli.client import Client

LOOK_S: Final = 0.5
LOOK_TIMEOUT_S: Final = 5.0
"""For one look: who is too busy to answer is looked at again."""


def shown_while(
    ask: Callable[[], dict[str, Any]], told: Callable[[], str], look_s: float = LOOK_S
) -> dict[str, Any]:
    """Return what `ask` returns, and raise what it raises; meanwhile a line shows what `told` says.

    `told` may raise LeaderlessError, then there is nothing to be said at that moment.
    """
    answers: list[dict[str, Any]] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    # A daemon thread: who presses Ctrl-C does not wait for the answer.
    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    width = 0
    while True:
        asking.join(look_s)
        if not asking.is_alive():
            break
        text = _line(told)
        width = max(width, len(text))
        click.echo(f"\r{text.ljust(width)}", err=True, nl=False)
    if width:
        click.echo(f"\r{' ' * width}\r", err=True, nl=False)
    if errors:
        raise errors[0]
    return answers[0]


def _line(told: Callable[[], str]) -> str:
    """Return what is to be told, as far as it fits on one line."""
    try:
        text = told()
    except LeaderlessError:
        return "…"
    most = shutil.get_terminal_size().columns - 1
    return text if len(text) <= most else f"{text[: most - 1]}…"


def done(client: Client) -> str:
    """Return how much of the long work that is under way is done; raises LeaderlessError."""
    try:
        count = int(client.get("/v1/progress", timeout_s=LOOK_TIMEOUT_S)["done"])
    except (KeyError, ValueError):
        return "…"
    return f"{count:,} done …" if count else "…"
