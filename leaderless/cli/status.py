"""status, peers, wait, events, export."""

from __future__ import annotations

import sys
from typing import Any

import click

from leaderless.cli.app import Context, verb
from leaderless.cli.output import chat, name_text, put_json, say, table, time_text
from leaderless.errors import UsageError


@click.command()
@verb
def status(context: Context) -> None:
    """Say how things are; the first line is the verdict."""
    answer = context.client.get("/v1/status")
    if context.json:
        put_json(answer)
        return
    say(name_text(answer["verdict"]))
    say("")
    say(
        f"{name_text(answer['device'])} in library {name_text(answer['library'])}:"
        f" {answer['rows']} rows, {answer['tags']} tags"
    )
    _peers(answer["peers"])
    for scan in answer["locations"]:
        more = f", {scan['entries_seen']} seen" if scan["state"] == "scanning" else ""
        say(
            f"  {name_text(scan['location'])}: {scan['state']}{more}"
            + (f" ({name_text(scan['message'])})" if scan["message"] else "")
        )
    for alert in answer["warnings"]:
        hint = f"\n    → {name_text(alert['hint'])}" if alert["hint"] else ""
        say(f"  {alert['code']}: {name_text(alert['text'])}{hint}")


def _peers(peers: list[dict[str, Any]]) -> None:
    for peer in peers:
        if peer["proved"]:
            how = f"identical, proved {time_text(peer['proved_at_ms'])}"
        else:
            how = name_text(peer["why_not"] or "comparing")
        say(f"  {name_text(peer['name'])}: {how}")


@click.command()
@verb
def peers(context: Context) -> None:
    """List the other devices and how each is doing."""
    answer = context.client.get("/v1/peers")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            peer["name"],
            peer["phase"],
            peer["address"],
            "identical" if peer["proved"] else peer["why_not"],
            time_text(peer["last_seen_ms"]),
            peer["id"][:8],
        )
        for peer in answer["peers"]
    ]
    if not rows:
        chat("No other device is a member yet; `leaderless pair` admits one.")
    table(("name", "phase", "address", "state", "last seen", "id"), rows)


@click.command()
@click.option("--synced", is_flag=True, help="Until every connected device is proved in sync.")
@click.option("--timeout", default=3600, metavar="SECONDS", help="Give up after this; exit 75.")
@verb
def wait(context: Context, synced: bool, timeout: int) -> None:
    """Wait until something is so."""
    if not synced:
        raise UsageError("say what to wait for", hint="leaderless wait --synced")
    query = {"synced": 1, "timeout_s": timeout}
    answer = context.client.get("/v1/wait", query, timeout_s=timeout + 30)
    if context.json:
        put_json(answer)
    else:
        say(name_text(answer["verdict"]))


@click.command()
@click.option("--since", metavar="ID", help="Begin after the event with this id.")
@verb
def events(context: Context, since: str | None) -> None:
    """Follow what happens, as NDJSON."""
    for line in context.client.lines("/v1/events", {"since": since}):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@click.command()
@verb
def export(context: Context) -> None:
    """Print every synced record as canonical NDJSON."""
    for line in context.client.lines("/v1/export"):
        sys.stdout.buffer.write(line)
