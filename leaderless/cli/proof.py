"""verify, diff: what is proved of the catalogue, here and between devices."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import LONG_S, Context, verb
from leaderless.cli.client import EXIT_PROBLEMS
from leaderless.cli.output import chat, name_text, put_json, say, table, time_text
from leaderless.words import counted


@click.command()
@verb
def verify(context: Context) -> None:
    """Count all that is held again, and mend what is wrong; exits 6 if something was.

    Counted are rows, by the device that owns them (files, folders, locations, drives, the device
    itself), and shared records (tags, albums, notes, contents and their links), as they are now:
    what is deleted is not. `status` shows the number of all rows; `rebuild` makes the shared records
    anew, and says how many deleted ones are remembered beside them.

    What another device owns is fetched anew, own rows are sent anew as they are, and what is shared
    is made again from the log, or where that has forgotten part of it, taken from a peer. Then says
    which devices hold the same.
    """
    chat("Counting …")
    answer = context.work("/v1/verify")
    if context.json:
        put_json(answer)
    else:
        _tell(context, answer)
    if not answer["right"]:
        raise click.exceptions.Exit(EXIT_PROBLEMS)


def _tell(context: Context, answer: dict[str, Any]) -> None:
    for item in answer["counts"]:
        thing = "shared record" if item["device"] is None else "row"
        whose = thing if item["rows"] == "1" else f"{thing}s"
        if item["device"] is not None:
            whose += f" of {name_text(item['device'])}"
        found = "as they should be" if item["right"] else f"wrong: {name_text(item['why'])}"
        say(f"{int(item['rows']):>12,} {whose}: {found}")
    if not answer["right"]:
        wait = context.command("wait --synced")
        chat(f"What was wrong is mended, or being fetched anew: `{wait}`.")
        return
    for peer in answer["peers"]:
        if peer["proved"]:
            how = f"identical, proved {time_text(peer['proved_at_ms'])}"
        else:
            how = name_text(peer["why_not"])
        say(f"{name_text(peer['name'])}: {how}")


@click.command()
@click.argument("peer")
@verb
def diff(context: Context, peer: str) -> None:
    """Name what PEER, a connected device, holds otherwise than this one; exits 6 if there is any.

    Between devices that are not in sync yet, that is what still has to travel.
    """
    chat("Comparing …")
    answer = context.client.get("/v1/diff", {"peer": peer}, LONG_S)
    if context.json:
        put_json(answer)
    else:
        table(("what", "id", "name", "here", "there"), map(_row, answer["differences"]))
        differ = counted(len(answer["differences"]), "difference")
        more = " or more" if answer["more"] else ""
        size = counted(format(int(answer["bytes"]), ","), "byte")
        chat(
            f"{differ}{more} in {int(answer['compared']):,}, found in"
            f" {counted(answer['rounds'], 'round')} of {size}."
        )
        if answer["differences"]:
            wait, mend = context.command("wait --synced"), context.command("verify")
            chat(f"What still has to travel counts, too: `{wait}` waits for it.")
            chat(f"What differs after that, `{mend}` on both devices mends.")
    if answer["differences"]:
        raise click.exceptions.Exit(EXIT_PROBLEMS)


def _row(item: dict[str, Any]) -> tuple[object, ...]:
    return item["model"], item["id"], item["name"], item["here"], item["there"]
