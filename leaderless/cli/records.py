"""record: records of any shared model, built in or of a package."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, Group, verb
from leaderless.cli.output import bare_text, chat, name_text, put_json, say, table, value_text
from leaderless.cli.values import parse_fields

_SHORTEST_ID, _WIDTH = 8, 40


@click.group(cls=Group)
def record() -> None:
    """List and edit records of any model. A package can bring models of its own."""


def _done(context: Context, answer: dict[str, Any], text: str) -> None:
    if context.json:
        put_json(answer)
        return
    say(answer["record"]["id"] if "record" in answer else answer["id"])
    chat(text)


@record.command("models")
@verb
def record_models(context: Context) -> None:
    """List the models, and how many records each has here."""
    answer = context.client.get("/v1/models")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["model"],
            "built in" if item["package"] is None else item["package"],
            item["version"],
            item["records"],
            ", ".join(item["fields"]),
        )
        if item["fields"] is not None
        else (item["model"], "not known here: kept for others", None, item["records"], None)
        for item in answer["models"]
    ]
    table(("model", "from", "version", "records", "fields"), rows)


@record.command("list")
@click.argument("model")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=1_000,
    show_default=True,
    help="At most so many.",
)
@verb
def record_list(context: Context, model: str, limit: int) -> None:
    """List the records of MODEL."""
    answer = context.client.get("/v1/records", {"model": model, "limit": limit})
    if context.json:
        put_json(answer)
        return
    shown = [
        name
        for name in answer["fields"]
        if any(item["fields"][name] not in (None, [], {}) for item in answer["records"])
    ]
    ids = [item["id"] for item in answer["records"]]
    digits = _SHORTEST_ID
    while len({uuid[:digits] for uuid in ids}) < len(ids):
        digits += 4
    rows = [
        (item["id"][:digits], *(_short(item["fields"][name]) for name in shown))
        for item in answer["records"]
    ]
    table(("id", *shown), rows)
    if not rows:
        make = context.command(f"record create {model} FIELD=VALUE")
        chat(f"No {model}; `{make}` makes one.")


def _short(value: Any) -> Any:  # noqa: ANN401 - JSON
    text = bare_text(value) if isinstance(value, list | dict) else value
    return text[: _WIDTH - 1] + "…" if isinstance(text, str) and len(text) > _WIDTH else text


@record.command("show")
@click.argument("model")
@click.argument("record_id", metavar="ID")
@verb
def record_show(context: Context, model: str, record_id: str) -> None:
    """Show a record of MODEL: its id, or either end of it."""
    answer = context.client.get("/v1/records/show", {"model": model, "id": record_id})
    if context.json:
        put_json(answer)
        return
    shown = answer["record"]
    say(f"id: {shown['id']}")
    for name, value in shown["fields"].items():
        if value not in (None, [], {}):
            say(f"{name}: {value_text(value)}")
    if shown["hidden"]:
        chat("It is hidden: what it refers to is not there.")
    if shown["locked_by"] is not None:
        unlock = context.command(f"unlock {shown['id']}")
        by = name_text(shown["locked_by"])
        chat(f"Locked by {by}; `{unlock}` lets everybody edit it.")


@record.command("create")
@click.argument("model")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@verb
def record_create(context: Context, model: str, fields: tuple[str, ...]) -> None:
    """Make a record of MODEL; its id is printed."""
    body = {"model": model, "fields": parse_fields(fields)}
    _done(context, context.client.post("/v1/records/create", body), "Created.")


@record.command("set")
@click.argument("model")
@click.argument("record_id", metavar="ID")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--unset", multiple=True, metavar="FIELD", help="Leave it without a value.")
@verb
def record_set(
    context: Context,
    model: str,
    record_id: str,
    fields: tuple[str, ...],
    unset: tuple[str, ...],
) -> None:
    """Change fields of a record: title=News tags=+daily,-old data=key=value."""
    body = {"model": model, "id": record_id, "fields": parse_fields(fields, unset)}
    _done(context, context.client.post("/v1/records/set", body), "Changed.")


@record.command("delete")
@click.argument("model")
@click.argument("record_id", metavar="ID")
@verb
def record_delete(context: Context, model: str, record_id: str) -> None:
    """Delete a record everywhere; `restore` brings it back."""
    answer = context.client.post("/v1/records/delete", {"model": model, "id": record_id})
    back = context.command(f"record restore {model} {answer['id']}")
    _done(context, answer, f"Deleted; `{back}` brings it back.")


@record.command("restore")
@click.argument("model")
@click.argument("record_id", metavar="ID")
@verb
def record_restore(context: Context, model: str, record_id: str) -> None:
    """Bring a deleted record back with the values it had."""
    answer = context.client.post("/v1/records/restore", {"model": model, "id": record_id})
    _done(context, answer, "Restored.")
