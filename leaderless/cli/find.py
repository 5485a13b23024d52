"""find."""

from __future__ import annotations

import re
import time

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.client import EXIT_NOT_FOUND, EXIT_NOT_YET
from leaderless.cli.output import chat, name_text, put_json, size_text, table
from leaderless.cli.values import parse_size, parse_time_ms
from leaderless.words import KINDS

_GLOB = re.compile(r"[*?]")
_ENDING = re.compile(r"\*\.([A-Za-z0-9.]+)")


@click.command()
@click.argument("text", required=False)
@click.option(
    "--tag", shell_complete=names("tag"), help="Only what carries this tag, or one below it."
)
@click.option("--device", shell_complete=names("device"), help="Only on this device.")
@click.option(
    "--location", shell_complete=names("location"), help="Only in locations of this name or path."
)
@click.option("--ext", help="Only with this extension: jpg, tar.gz.")
@click.option("--kind", type=click.Choice(KINDS), help="Only of this kind.")
@click.option("--larger", metavar="SIZE", help="Only larger than this: 10M, 1.5G; no directories.")
@click.option("--newer", metavar="TIME", help="Only changed since: 7d, 2026-01-31.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, help="At most so many.")
@verb
def find(
    context: Context,
    text: str | None,
    tag: str | None,
    device: str | None,
    location: str | None,
    ext: str | None,
    kind: str | None,
    larger: str | None,
    newer: str | None,
    limit: int,
) -> None:
    r"""Find files whose name holds TEXT, on all devices, also those that are off.

    What changed last comes first. TEXT is looked for in any case and however its letters are
    composed; a name that is shown with escapes (\\n, \\x1b) can be given as it is shown.
    """
    now_ms = time.time_ns() // 1_000_000
    query = {
        "text": text,
        "tag": tag,
        "device": device,
        "location": location,
        "ext": ext,
        "kind": kind,
        "larger": None if larger is None else parse_size(larger),
        "newer_ms": None if newer is None else parse_time_ms(newer, now_ms),
        "limit": limit,
    }
    answer = context.client.get("/v1/find", query)
    held_up = answer["held_up"]
    if held_up is not None:
        held_up["hint"] = context.hint(held_up["hint"])
    if context.json:
        put_json(answer)
    else:
        rows = [
            (
                item["device"],
                item["drive"],
                "reachable" if item["reachable"] else item["why"],
                "" if item["kind"] == "directory" else size_text(item["size_bytes"]),
                item["path"],
            )
            for item in answer["entries"]
        ]
        table(("device", "drive", "now", "size", "path"), rows)
    if held_up is not None:
        # What was found since the backup is not known yet: that it is not listed tells nothing.
        so_far = "That is all" if answer["entries"] else "Nothing found"
        chat(f"{so_far}, as far as is known now: {name_text(held_up['message'])}.")
        chat(f"  → {name_text(held_up['hint'])}")
        if not answer["entries"]:
            raise click.exceptions.Exit(EXIT_NOT_YET)
    if not answer["entries"]:
        chat("Nothing found.")
        if text is not None and _GLOB.search(text):
            by_end = _ENDING.fullmatch(text)
            instead = context.command(f"find --ext {by_end[1] if by_end else 'EXT'}")
            chat(f"  → TEXT is looked for as it stands, `*` and `?` too; by its end: {instead}")
        raise click.exceptions.Exit(EXIT_NOT_FOUND)
    if answer["is_cut"]:
        chat(f"The first {limit}; more with --limit.")
