"""status, peers, wait, events, export."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from leaderless.cli.app import Context, verb
from leaderless.cli.output import (
    chat,
    harmless_json,
    name_text,
    put_json,
    say,
    table,
    time_text,
)
from leaderless.cli.pausing import left_text, resume_command
from leaderless.errors import UsageError
from leaderless.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command()
@click.option("--acknowledge", is_flag=True, help="Tell no more of what is over and was seen.")
@verb
def status(context: Context, acknowledge: bool) -> None:
    """Say how things are; the first line is the verdict."""
    client = context.client
    answer = client.post("/v1/acknowledge", {}) if acknowledge else client.get("/v1/status")
    if context.json:
        put_json(_for_here(context, answer))
        return
    say(_verdict_of(context, answer))
    say("")
    held = f"{counted(answer['rows'], 'row')}, {counted(answer['tags'], 'tag')}"
    say(f"{name_text(answer['device'])} in library {name_text(answer['library'])}: {held}")
    _peers(answer["peers"])
    for gone in answer.get("revoked", ()):
        say(f"  {name_text(gone['name'])}: {_revoked_text(gone)}")
    for scan in answer["locations"]:
        more = f", {scan['entries_seen']} seen" if scan["state"] == "scanning" else ""
        why = f" ({context.told(name_text(scan['message']))})" if scan["message"] else ""
        paused = f"; hashing is paused{left_text(scan)}" if scan.get("paused") else ""
        say(f"  {name_text(scan['location'])}: {scan['state']}{more}{why}{paused}")
        if paused:
            say(f"    → {resume_command(context, scan['location'])}")
    for alert in answer["warnings"]:
        if alert["code"].startswith("LOCATION_"):
            continue  # the location's own line has said it
        say(f"  warning: {context.told(name_text(alert['text']))}")
        if alert["hint"]:
            say(f"    → {context.hint(name_text(alert['hint']))}")
    if not answer["peers"] and answer.get("member", True):
        chat(f"`{context.command('pair')}` admits another device.")
    if not answer["locations"]:
        chat(f"`{context.command('location add FOLDER')}` indexes a folder of this device.")


def _for_here(context: Context, answer: dict[str, Any]) -> dict[str, Any]:
    """Return a report whose remedies are commands for the device that was asked."""
    warnings = [
        {**alert, "text": context.told(alert["text"]), "hint": _hint(context, alert["hint"])}
        for alert in answer["warnings"]
    ]
    locations = [
        {**scan, "message": scan["message"] and context.told(scan["message"])}
        for scan in answer["locations"]
    ]
    verdict = context.told(answer["verdict"])
    return {**answer, "verdict": verdict, "warnings": warnings, "locations": locations}


def _hint(context: Context, hint: str | None) -> str | None:
    return hint and context.hint(hint)


def _peers(peers: list[dict[str, Any]]) -> None:
    for peer in peers:
        if peer["proved"]:
            how = f"identical, proved {time_text(peer['proved_at_ms'])}"
        else:
            how = name_text(peer["why_not"] or "comparing")
        say(f"  {name_text(peer['name'])}: {how}")


def _revoked_text(gone: dict[str, Any]) -> str:
    """Return by whom a device was revoked, and what came of it."""
    text = f"revoked by {name_text(gone['by'])} on {time_text(gone['at_ms'])}"
    if gone["refused_at_ms"] is not None:
        text += f"; it called and was refused {time_text(gone['refused_at_ms'])}"
    if gone["shelved"]:
        commits = counted(gone["shelved"], "commit")
        text += f"; {commits} of it that nobody is known to build on stay shelved"
    return text


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
        chat(f"No other device is a member yet; `{context.command('pair')}` admits one.")
    table(("name", "phase", "address", "state", "last seen", "id"), rows)


@click.command()
@click.option("--synced", is_flag=True, help="Until every connected device is proved in sync.")
@click.option(
    "--timeout",
    type=click.IntRange(0, 31_536_000),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Give up after this; exit 75.",
)
@click.option("--all", "everybody", is_flag=True, help="… those that are away, too.")
@verb
def wait(context: Context, synced: bool, timeout: int, everybody: bool) -> None:
    """Wait until the devices that are connected are in sync; with --all, until every member is.

    Where nobody is connected it waits for the first who comes. What it waits for is said on standard
    error, and on a terminal how far that is.
    """
    if not synced:
        raise UsageError("say what to wait for", hint="leaderless wait --synced")
    if not context.json:
        _announce(context, everybody)
    query = {"synced": 1, "timeout_s": timeout, "all": 1 if everybody else None}

    def ask() -> dict[str, Any]:
        return context.client.get("/v1/wait", query, timeout_s=timeout + 30)

    answer = _shown_while(context, ask) if sys.stderr.isatty() else ask()
    if context.json:
        put_json(_for_here(context, answer))
        return
    say(_verdict_of(context, answer))
    if not answer["in_sync"]:
        chat("This waited for the connected devices only; --all waits for every member.")


def _shown_while(context: Context, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `ask` returns; meanwhile the verdict is shown."""
    from leaderless.cli.progress import LOOK_TIMEOUT_S, shown_while  # noqa: PLC0415 - on a terminal

    client = context.client
    return shown_while(
        ask, lambda: _verdict_of(context, client.get("/v1/status", timeout_s=LOOK_TIMEOUT_S))
    )


def _verdict_of(context: Context, answer: dict[str, Any]) -> str:
    return context.told(name_text(answer["verdict"]))


def _announce(context: Context, everybody: bool) -> None:
    """Say what is waited for, if anything is."""
    found = context.client.get("/v1/peers")["peers"]
    connected = [peer for peer in found if peer["connected"]]
    if not found:
        pair = context.command("pair")
        chat(f"No other device is a member yet: this waits until one is. `{pair}` admits one.")
    elif not connected and not everybody and len(found) > 1:
        names = ", ".join(name_text(peer["name"]) for peer in found)
        chat(f"Nobody is connected now: this waits for the first of {names}.")
    else:
        waited_for = found if everybody else connected or found
        whys = [_why(peer) for peer in waited_for if not peer["proved"]]
        if whys:
            chat(f"Waiting for {'; '.join(whys)}.")


def _why(peer: dict[str, Any]) -> str:
    """Return why a device is waited for."""
    why = peer["why_not"] or "comparing"
    return f"{name_text(peer['name'])}: {name_text(why)}"


@click.command()
@click.option("--since", metavar="ID", help="Begin after the event with this id.")
@verb
def events(context: Context, since: str | None) -> None:
    """Follow what happens, as NDJSON."""
    for line in context.client.lines("/v1/events", {"since": since}):
        _put_line(line)
        sys.stdout.buffer.flush()


@click.command()
@verb
def export(context: Context) -> None:
    """Print every synced record as canonical NDJSON."""
    for line in context.client.lines("/v1/export"):
        _put_line(line)


def _put_line(line: bytes) -> None:
    """Print a line of NDJSON: the very bytes, except that none steers a terminal."""
    if sys.stdout.isatty():
        line = harmless_json(line.decode("utf-8")).encode("utf-8")
    sys.stdout.buffer.write(line)
