"""Telling somebody at a terminal how far the daemon has come with what it was asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import click

from leaderless.errors import LeaderlessError

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaderless.cli.client import Client

LOOK_S: Final = 0.5
_ASK_S: Final = 5.0


def shown_while(
    client: Client, ask: Callable[[], dict[str, Any]], look_s: float = LOOK_S
) -> dict[str, Any]:
    """Return what `ask` returns, and raise what it raises; meanwhile a line says how much is done."""
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
        text = _done(client)
        width = max(width, len(text))
        click.echo(f"\r{text.ljust(width)}", err=True, nl=False)
    if width:
        click.echo(f"\r{' ' * width}\r", err=True, nl=False)
    if errors:
        raise errors[0]
    return answers[0]


def _done(client: Client) -> str:
    try:
        done = int(client.get("/v1/progress", timeout_s=_ASK_S)["done"])
    except (LeaderlessError, KeyError, ValueError):
        return "…"
    return f"{done:,} done …" if done else "…"
