"""conflicts: what lost against what its author had not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leaderless.cli.app import Context, Group, names, verb
from leaderless.cli.output import (
    bare_text,
    chat,
    name_text,
    put_json,
    say,
    table,
    time_text,
    value_text,
)
from leaderless.escape import shell_word

if TYPE_CHECKING:
    from collections.abc import Callable

_WHY = {
    "overwritten": "a later value is shown",
    "deleted": "the record was deleted",
    "remade": "the record was deleted and is there again without this value",
    "locked": "the record was locked before its author could know",
    "kept": "the record was restored, made again or locked before its author could know",
}
"""What the causes of a conflict say."""


@click.group(cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def conflicts(ctx: click.Context, as_json: bool) -> None:
    """Show what lost, and let it win or rest. Without a command: list."""
    ctx.obj.json = ctx.obj.json or as_json
    if ctx.invoked_subcommand is None:
        ctx.invoke(conflicts_list)


@conflicts.command("list")
@verb
def conflicts_list(context: Context) -> None:
    """List values and deletes that lost, with what they lost against."""
    answer = context.client.get("/v1/conflicts")
    if context.json:
        put_json(answer)
        return
    rows = [_row(item) for item in answer["conflicts"]]
    for edge in answer.get("circles", ()):
        child, parent = name_text(edge["child"]), name_text(edge["parent"])
        way = " under ".join(map(name_text, edge["circle"]))
        chat(
            f"Not in effect: {child} under {parent} would close a circle with {way};"
            f" `{context.command('tag unparent')} {shell_word(child)} {shell_word(parent)}` drops it."
        )
    if not rows:
        chat("No conflicts.")
        return
    table(("id", "what", "field", "lost", "by", "at", "shown", "by", "at", "why"), rows)
    restore = context.command("conflicts restore ID")
    chat(f"`{restore}` lets one win, `… dismiss ID...` lets some rest.")


def _row(item: dict[str, Any]) -> tuple[object, ...]:
    return (
        item["short_id"],
        f"{item['model']} {item['name']}",
        _field(item),
        bare_text(item["value"]) if item["field"] else "(delete)",
        item["author"],
        time_text(item["at_ms"]),
        _shown(item, bare_text),
        item["winner"],
        time_text(item["winner_at_ms"]),
        item["cause"],
    )


def _field(item: dict[str, Any]) -> str:
    """Return the field that a conflict is about; of a delete it is all of them."""
    return (item["field"] or "") + (f".{item['subkey']}" if item["subkey"] else "")


def _shown(item: dict[str, Any], text: Callable[[object], str] = value_text) -> str:
    """Return what is in effect in place of what lost."""
    if item["cause"] == "deleted":
        return "(deleted)"
    if item["cause"] == "kept":
        return "(it is there)"
    return "(nothing)" if item["winning_value"] is None else text(item["winning_value"])


_CONFLICT = click.argument("conflict", metavar="ID", shell_complete=names("conflict"))


@conflicts.command("show")
@_CONFLICT
@verb
def conflicts_show(context: Context, conflict: str) -> None:
    """Show one conflict whole."""
    answer = context.client.get("/v1/conflicts/show", {"id": conflict})
    if context.json:
        put_json(answer)
        return
    _tell(answer["conflict"])
    short = name_text(answer["conflict"]["short_id"])
    restore = context.command(f"conflicts restore {short}")
    chat(f"`{restore}` lets what lost win, `… dismiss {short}` lets it rest.")


def _tell(item: dict[str, Any]) -> None:
    """Print a conflict in words."""
    lost = value_text(item["value"]) if item["field"] else "(delete)"
    facts = {
        "what": " ".join(name_text(part) for part in (item["model"], item["name"])),
        "field": name_text(_field(item)) or "(all of it)",
        "lost": f"{lost}, by {name_text(item['author'])} at {time_text(item['at_ms'])}",
        "shown": _shown(item),
        "why": _WHY.get(item["cause"], name_text(item["cause"])),
        "record": name_text(item["record"]),
    }
    if item["winner"] is not None:
        by, at = name_text(item["winner"]), time_text(item["winner_at_ms"])
        facts["shown"] += f", by {by} at {at}"
    for name, text in facts.items():
        say(f"{name:8}{text}")


@conflicts.command("restore")
@_CONFLICT
@verb
def conflicts_restore(context: Context, conflict: str) -> None:
    """Let what lost win, on every device."""
    answer = context.client.post("/v1/conflicts/restore", {"id": conflict})
    if context.json:
        put_json(answer)
        return
    chat(f"Restored; `{context.command('undo ' + answer['action'])}` takes it back.")


@conflicts.command("dismiss")
@click.argument("chosen", nargs=-1, metavar="[ID]...", shell_complete=names("conflict"))
@click.option("--all", "everything", is_flag=True, help="All of them.")
@verb
def conflicts_dismiss(context: Context, chosen: tuple[str, ...], everything: bool) -> None:
    """Let what lost rest, on every device: all that are named, as one action."""
    if bool(chosen) == everything:
        raise click.UsageError("name conflicts by their ids, or --all")
    body = {"ids": list(chosen)} if chosen else {"all": True}
    answer = context.client.post("/v1/conflicts/dismiss", body)
    if context.json:
        put_json(answer)
        return
    chat(f"Dismissed: {answer['dismissed']}.")
