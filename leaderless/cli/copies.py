"""copies, at-risk, duplicates: where contents are, and how often."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.output import chat, name_text, put_json, say, size_text, table
from leaderless.cli.targets import reference
from leaderless.cli.values import parse_size
from leaderless.words import counted

WHY = {
    "no_device": "on no member's device",
    "one_device": "on one device only",
    "one_drive": "on one drive only",
    "quick_hashed": "only a sample was hashed",
    "not_hashed": "not hashed",
}
"""Why a file is at risk, in words."""
_LIMIT = click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many.",
)


@click.command()
@click.argument("target", type=click.Path())
@_LIMIT
@verb
def copies(context: Context, target: str, limit: int) -> None:
    """List every copy of the file TARGET (a path, DEVICE:PATH or id), on all devices and drives."""
    query = {"target": reference(target), "limit": limit}
    answer = context.client.get("/v1/copies", query)
    if context.json:
        put_json(answer)
        return
    put_copies(context, answer)


def put_copies(context: Context, answer: dict[str, Any]) -> None:
    """Print the copies of a file, and what that means for it."""
    put_places(answer["copies"])
    if answer["more"]:
        chat(
            f"{len(answer['copies'])} of {answer['count']} copies;"
            f" `{context.command('copies --limit')}` lists more."
        )
    if answer["at_risk"] is None:
        chat(f"Safe: on {answer['devices']} devices.")
    elif answer["hash"] is None and answer["at_risk"] != "no_device":
        chat(
            f"Copies are not known: {WHY[answer['at_risk']]}."
            f" `{context.command('location mode LOCATION content')}` hashes a folder's files."
        )
    else:
        chat(f"At risk: {WHY[answer['at_risk']]}.")


def put_places(entries: list[dict[str, Any]]) -> None:
    """Print where entries are."""
    rows = [
        (
            item["device"],
            item["drive"],
            "reachable" if item["reachable"] else item["why"],
            size_text(item["size_bytes"]),
            item["path"],
        )
        for item in entries
    ]
    table(("device", "drive", "now", "size", "path"), rows)


@click.command("at-risk")
@click.option("--location", shell_complete=names("location"), help="Only files in this location.")
@click.option("--tag", shell_complete=names("tag"), help="Only files with this tag, or one below.")
@click.option("--device", shell_complete=names("device"), help="Only files of this device.")
@_LIMIT
@verb
def at_risk(
    context: Context, location: str | None, tag: str | None, device: str | None, limit: int
) -> None:
    """List files whose content is on one device only, or not known; the largest first.

    Several copies on one device are still one device, and a drive that was indexed on several is
    one drive. What is on a revoked device is no copy. Bytes are counted once per content.
    """
    query = {"location": location, "tag": tag, "device": device, "limit": limit}
    answer = context.client.get("/v1/at-risk", query, timeout_s=600.0)
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            size_text(item["size_bytes"]),
            WHY[item["reason"]],
            item["device"],
            item["drive"],
            item["path"],
        )
        for item in answer["files"]
    ]
    table(("size", "why", "device", "drive", "path"), rows)
    totals = answer["totals"]
    for reason, words in WHY.items():
        files, size = totals[reason]["files"], totals[reason]["bytes"]
        if files:
            chat(f"{words}: {counted(files, 'file')}, {size_text(size)}")
    if not rows:
        chat("Nothing is at risk.")
    if answer["more"]:
        chat(f"The largest {len(rows)}; more with --limit.")


@click.command()
@click.option("--device", shell_complete=names("device"), help="Only copies on this device.")
@click.option("--larger", metavar="SIZE", help="Only files larger than this: 10M, 1.5G.")
@_LIMIT
@verb
def duplicates(context: Context, device: str | None, larger: str | None, limit: int) -> None:
    """List contents that are there more than once, those that waste the most bytes first.

    On one device or over devices: one copy on each device wastes nothing. Names of one file on one
    drive (hard links) are no copies.
    """
    query = {
        "device": device,
        "larger": None if larger is None else parse_size(larger),
        "limit": limit,
    }
    answer = context.client.get("/v1/duplicates", query, timeout_s=600.0)
    if context.json:
        put_json(answer)
        return
    for item in answer["duplicates"]:
        say(_twice(item))
        for copy in item["copies"]:
            say(f"  {name_text(copy['device'])}  {name_text(copy['path'])}")
        if item["files"] > len(item["copies"]):
            more = item["files"] - len(item["copies"])
            command = context.command(f"copies {item['copies'][0]['id']}")
            say(f"  … and {more} more: {command}")
    totals = answer["totals"]
    if not answer["duplicates"]:
        chat("Nothing is there more than once.")
        return
    contents, wasted = counted(totals["contents"], "content"), size_text(totals["wasted_bytes"])
    chat(f"In all {contents} with copies; those beyond one on each device waste {wasted}.")
    if answer["more"]:
        chat(f"The first {len(answer['duplicates'])}; more with --limit.")


def _twice(item: dict[str, Any]) -> str:
    """Return in words how often a content is there, and what that wastes."""
    often = f"{item['files']} copies of {size_text(item['size_bytes'])}"
    where = f"{often} on {counted(item['devices'], 'device')}"
    if item["wasted_bytes"] == "0":
        return f"nothing wasted: {where}"
    return f"{size_text(item['wasted_bytes'])} wasted: {where}"
