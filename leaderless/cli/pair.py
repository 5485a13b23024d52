"""pair: showing a code, and typing one."""

from __future__ import annotations

import re
import sys
from typing import Any

import click

from leaderless.cli.app import Context, verb
from leaderless.cli.output import chat, name_text, put_json, say
from leaderless.errors import (
    LeaderlessError,
    NotFoundError,
    NotPermittedError,
    TimedOutError,
    UsageError,
)
from leaderless.pairing.code import parse
from leaderless.words import counted

_ADDRESS = re.compile(r"(\[[^\]]+\]|[^\[\]:]+):[0-9]+")


@click.command()
@click.argument("code", required=False)
@click.option("--address", metavar="HOST:PORT", help="Where the other device shows its code.")
@click.option("--no-wait", is_flag=True, help="Print the code and return; it stays open.")
@click.option(
    "--leave-edits",
    is_flag=True,
    help="For a revoked device that has edits of which, as far as it knows, nobody has heard: join"
    " all the same. The library that revoked it does not take them; any other one does.",
)
@verb
def pair(
    context: Context, code: str | None, address: str | None, no_wait: bool, leave_edits: bool
) -> None:
    """Show a code, or type CODE to join another device's library."""
    if code is not None:
        _join(context, code, address, leave_edits)
        return
    if leave_edits:
        raise UsageError(
            "--leave-edits goes with a code", hint="leaderless pair CODE --leave-edits"
        )
    if address is not None:
        raise UsageError("--address goes with a code", hint="leaderless pair CODE --address …")
    was_open = _is_open(context)
    answer = context.client.post("/v1/pair")
    if context.json:
        put_json(answer)
    else:
        say(str(answer["code"]))
    sys.stdout.flush()
    if was_open:
        chat("The code that was shown before is void now.")
    minutes = counted(-(-int(answer["seconds_left"]) // 60), "minute")
    chat(f"On the other device, within {minutes}: leaderless pair {answer['code']}")
    chat(
        f"If it does not find this one: leaderless pair {answer['code']}"
        f" --address THIS-HOST:{answer['port']}"
    )
    if no_wait:
        return
    try:
        _wait(context, answer)
    except KeyboardInterrupt:
        context.client.delete("/v1/pair")
        chat("The code is withdrawn.")
        raise click.exceptions.Abort from None


def _join(context: Context, code: str, address: str | None, leave_edits: bool) -> None:
    if address is not None and _ADDRESS.fullmatch(address.strip()) is None:
        # Codes are shown at a port of their own, drawn anew for each: there is no default.
        hint = "write HOST:PORT; the other device shows the port beside its code"
        raise UsageError(f"“{address}” is no HOST:PORT", hint=hint)
    parse(code)
    chat(
        "Looking for the device that shows this code: 10 seconds at most …"
        if address is None
        else f"Asking {name_text(address)} …"
    )
    asked = {"code": code, "address": address, "leave_edits": leave_edits}
    answer = context.client.post("/v1/join", asked, timeout_s=90)
    if context.json:
        put_json(answer)
    else:
        say(f"Joined library {name_text(answer['library'])}.")
        if answer.get("records_brought"):
            brought = counted(answer["records_brought"], "record")
            chat(
                f"{brought} came along: the tags, albums and notes of this device, and their links."
            )
        if answer.get("records_unseen"):
            chat(
                f"{answer['records_unseen']} of these about files of other devices, which do not come"
                " along: shown once such a file, or a copy of it, is in this library."
            )
        add, wait = context.command("location add FOLDER"), context.command("wait --synced")
        chat(f"Next: `{wait}` returns when all is here, `{add}` indexes a folder of this device.")


def _is_open(context: Context) -> bool:
    try:
        return bool(context.client.get("/v1/pair")["state"] == "waiting")
    except NotFoundError:
        return False


def _wait(context: Context, shown: dict[str, Any]) -> None:
    while True:
        state = context.client.get("/v1/pair", {"wait": 1})
        if state["code"] not in (None, shown["code"]) or state["port"] != shown["port"]:
            raise LeaderlessError(
                "another code was shown meanwhile; this one is void", hint="leaderless pair"
            )
        if state["state"] != "waiting" and sys.stderr.isatty():
            chat("")  # ends the line that counts the seconds
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
