"""pair: showing a code, and typing one."""

from __future__ import annotations

import sys

import click

from leaderless.cli.app import Context, verb
from leaderless.cli.output import chat, name_text, put_json, say
from leaderless.errors import LeaderlessError, NotPermittedError, TimedOutError


@click.command()
@click.argument("code", required=False)
@click.option("--address", metavar="HOST:PORT", help="Where the other device shows its code.")
@click.option("--no-wait", is_flag=True, help="Print the code and return; it stays open.")
@verb
def pair(context: Context, code: str | None, address: str | None, no_wait: bool) -> None:
    """Show a code, or type CODE to join another device's library."""
    if code is not None:
        chat("Looking for the device that shows this code …")
        answer = context.client.post("/v1/join", {"code": code, "address": address}, timeout_s=90)
        if context.json:
            put_json(answer)
        else:
            say(f"Joined library {name_text(answer['library'])}.")
        return
    answer = context.client.post("/v1/pair")
    if context.json:
        put_json(answer)
    else:
        say(str(answer["code"]))
    sys.stdout.flush()
    if no_wait:
        return
    chat(f"On the other device, within five minutes: leaderless pair {answer['code']}")
    chat(
        f"If it does not find this one: leaderless pair {answer['code']}"
        f" --address THIS-HOST:{answer['port']}"
    )
    try:
        _wait(context)
    except KeyboardInterrupt:
        context.client.delete("/v1/pair")
        chat("The code is withdrawn.")
        raise click.exceptions.Abort from None


def _wait(context: Context) -> None:
    while True:
        state = context.client.get("/v1/pair", {"wait": 1})
        if state["state"] == "paired":
            chat(f"Paired with {name_text(state['device'])}.")
            return
        if state["state"] == "expired":
            raise TimedOutError("the code has expired", hint="leaderless pair")
        if state["state"] == "void":
            raise NotPermittedError("three wrong codes were tried", hint="leaderless pair")
        if state["state"] != "waiting":
            raise LeaderlessError("the code was withdrawn")
        if sys.stderr.isatty():
            click.echo(f"\rwaiting, {state['seconds_left']} s left ", err=True, nl=False)
