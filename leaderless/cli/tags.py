"""tag and conflicts."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.output import chat, name_text, put_json, say, table, time_text
from leaderless.errors import UsageError


@click.group()
def tag() -> None:
    """Create, list, show, set, rename, delete and restore tags."""


def _fields(pairs: tuple[str, ...], unset: tuple[str, ...] = ()) -> dict[str, object]:
    """Return fields as the daemon takes them; what is given several times is a list."""
    given: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"“{pair}” is no FIELD=VALUE")
        given.setdefault(name, []).append(value)
    fields: dict[str, object] = {
        name: values[0] if len(values) == 1 else values for name, values in given.items()
    }
    for name in unset:
        if name in fields:
            raise UsageError(f"{name} is both set and unset")
        fields[name] = None
    return fields


def _value_text(value: object) -> str:
    """Return a field's value as it is given to `tag set`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(name_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name_text(key)}={_value_text(item)}" for key, item in value.items())
    return name_text(value)


def _done(context: Context, answer: dict[str, Any], text: str) -> None:
    if context.json:
        put_json(answer)
        return
    say(answer["tag"]["id"] if "tag" in answer else answer["id"])
    chat(text)


@tag.command("create")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@verb
def tag_create(context: Context, name: str, fields: tuple[str, ...]) -> None:
    """Make a tag called NAME; two of one name are two tags."""
    answer = context.client.post("/v1/tags/create", {"name": name, "fields": _fields(fields)})
    _done(context, answer, "Created.")


@tag.command("list")
@click.option("--deleted", is_flag=True, help="Those that are deleted and can be restored.")
@verb
def tag_list(context: Context, deleted: bool) -> None:
    """List every tag."""
    answer = context.client.get("/v1/tags", {"deleted": "1"} if deleted else None)
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["canonical_name"],
            item["display_name"],
            item["namespace"],
            item["color"],
            ", ".join(item["aliases"] or ()),
            item["id"],
        )
        for item in answer["tags"]
    ]
    table(("name", "shown as", "namespace", "color", "aliases", "id"), rows)


@tag.command("show")
@click.argument("tag", shell_complete=names("tag"))
@verb
def tag_show(context: Context, tag: str) -> None:
    """Show everything about TAG (a name, an alias, or either end of an id)."""
    answer = context.client.get("/v1/tags/show", {"tag": tag})
    if context.json:
        put_json(answer)
        return
    for name, value in answer["tag"].items():
        if value not in (None, [], {}):
            say(f"{name}: {_value_text(value)}")


@tag.command("set")
@click.argument("tag", shell_complete=names("tag"))
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--unset", multiple=True, metavar="FIELD", help="Leave it without a value.")
@verb
def tag_set(context: Context, tag: str, fields: tuple[str, ...], unset: tuple[str, ...]) -> None:
    """Change fields of TAG: color=red aliases=+trip,-tour attributes=key=value."""
    answer = context.client.post("/v1/tags/set", {"tag": tag, "fields": _fields(fields, unset)})
    _done(context, answer, "Changed.")


@tag.command("rename")
@click.argument("tag", shell_complete=names("tag"))
@click.argument("name")
@verb
def tag_rename(context: Context, tag: str, name: str) -> None:
    """Call TAG by another NAME."""
    _done(context, context.client.post("/v1/tags/rename", {"tag": tag, "name": name}), "Renamed.")


@tag.command("delete")
@click.argument("tag", shell_complete=names("tag"))
@verb
def tag_delete(context: Context, tag: str) -> None:
    """Delete TAG everywhere; `restore` brings it back."""
    answer = context.client.post("/v1/tags/delete", {"tag": tag})
    restore = context.command(f"tag restore {answer['id']}")
    _done(context, answer, f"Deleted; `{restore}` brings it back.")


@tag.command("restore")
@click.argument("tag")
@verb
def tag_restore(context: Context, tag: str) -> None:
    """Bring a deleted TAG (its name or id) back with the values it had."""
    _done(context, context.client.post("/v1/tags/restore", {"tag": tag}), "Restored.")


@click.command()
@verb
def conflicts(context: Context) -> None:
    """List values that lost against others which had not seen them."""
    answer = context.client.get("/v1/conflicts")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["number"],
            item["model"],
            item["record"][:12],
            item["field"] + (f".{item['subkey']}" if item["subkey"] else ""),
            item["value"],
            item["author"][:8],
            time_text(item["at_ms"]),
            item["cause"],
        )
        for item in answer["conflicts"]
    ]
    if not rows:
        chat("No conflicts.")
    table(("no", "model", "record", "field", "lost value", "author", "at", "cause"), rows)
