"""history, changes, undo, lock, unlock, rebuild."""

from __future__ import annotations

import time
from typing import Any

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.client import EXIT_PROBLEMS
from leaderless.cli.output import chat, name_text, put_json, say, table, time_text
from leaderless.cli.targets import record_reference
from leaderless.cli.values import parse_time_ms
from leaderless.errors import UsageError
from leaderless.words import counted

_NAMES = ("tag", "album", "name", "key", "other", "merged")
"""What an action says of itself that names what it was done to."""
_OWN = "custom_data."
"""What stands before a key of a person's own."""


@click.command()
@click.argument("target", required=False)
@click.option("--since", metavar="TIME", help="Not older than this: 7d, 2026-01-31.")
@click.option("--by", metavar="DEVICE", shell_complete=names("device"), help="Done on this device.")
@click.option(
    "--device", metavar="DEVICE", shell_complete=names("device"), help="About files of this device."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@verb
def history(
    context: Context,
    target: str | None,
    since: str | None,
    by: str | None,
    device: str | None,
    limit: int,
) -> None:
    """Say who did what, newest first; of TARGET alone (a path, an id, tag:NAME or album:NAME).

    Of a file that is all that was said of it alone (scope entry) and of what it holds now (scope
    content). The id of an action, as it stands here, names that action.
    """
    now_ms = int(time.time() * 1000)
    query = {
        "target": None if target is None else record_reference(target),
        "since_ms": None if since is None else parse_time_ms(since, now_ms),
        "by": by,
        "device": device,
        "limit": limit,
    }
    answer = context.client.get("/v1/history", query)
    until = answer.get("forgotten_until_ms")
    _show(context, answer, "Nothing is known that was done." if until else "Nothing was done.")
    if until and not context.json:
        chat(
            f"Of what was done up to {time_text(until)} some is not listed, as its content has been"
            f" forgotten; `{context.command('history')}` has the headers of all."
        )


@click.command()
@click.option("--since-last", is_flag=True, help="Since you last asked (the default).")
@click.option("--since", metavar="TIME", help="Since then: 7d, 2026-01-31; no look is counted.")
@click.option("--all", "everything", is_flag=True, help="All of it; no look is counted.")
@click.option("--keep", is_flag=True, help="Do not count this as having looked.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@verb
def changes(
    context: Context, since_last: bool, since: str | None, everything: bool, keep: bool, limit: int
) -> None:
    """Say what others did since you last asked: what has reached this device, newest first."""
    if since_last + (since is not None) + everything > 1:
        raise UsageError("--since-last, --since and --all are three different questions")
    query: dict[str, Any] = {"limit": limit}
    if everything:
        query["all"] = 1
    elif since is not None:
        query["since_ms"] = parse_time_ms(since, int(time.time() * 1000))
    elif not keep:
        query["seen"] = 1
    nothing = "Nothing new."
    if "seen" in query or keep:
        nothing += f" `{context.command('changes --all')}` lists what you have seen."
    _show(context, context.client.get("/v1/changes", query), nothing)


def _show(context: Context, answer: dict[str, Any], nothing: str) -> None:
    if context.json:
        put_json(answer)
        return
    actions = answer["actions"]
    # Where all of it is of one scope there is nothing to tell apart.
    scoped = len({scope for item in actions for scope in item.get("scopes", ())}) > 1
    rows = [
        (
            item["short_id"],
            time_text(item["authored_ms"]),
            item["author"],
            item["command"]
            + (" (undone)" if item["undone"] else "")
            + (" (forgotten)" if item.get("forgotten") else ""),
            *([", ".join(item["scopes"])] if scoped else []),
            _about(item),
            ", ".join(item["confirmed_by"]),
        )
        for item in actions
    ]
    if not rows:
        chat(nothing)
    scope = ("scope",) if scoped else ()
    table(("id", "when", "on", "action", *scope, "what", "confirmed by"), rows)
    if answer["more"]:
        chat(f"The newest {len(rows)}; more with --limit.")


def _about(item: dict[str, Any]) -> str:
    said = item["data"]
    if item["command"] == "undo" and "command" in said:
        undid = item.get("undid")
        if undid is None:
            return str(said["command"])  # what nobody knows has no id to ask for
        named = ", ".join(filter(None, (str(said["command"]), _about(undid))))
        return f"{named} ({undid['short_id']})"
    named = _named(item["command"], said)
    if "count" in said:
        named = ": ".join(filter(None, _with_files(item, named)))
    if named:
        return named
    if item.get("forgotten"):
        return "its content has been forgotten"
    if item["changes"] > len(item["records"]) or len(item["records"]) > 2:
        return counted(f"{item['changes']:,}", "change")
    return ", ".join(f"{record['model']} {record['name']}" for record in item["records"])


def _named(command: str, said: dict[str, Any]) -> str:
    """Return what an action says of itself, without the files that it was done to."""
    group, _, field = command.partition(".")
    if command == "device.restore" and not said:
        return "what was done on it before it was revoked"
    if command == "device.revoke" and "device" in said:
        by = f" (by {said['by']})" if "by" in said else ""
        return f"{said['device']}{by}{', a member again' if said.get('member_again') else ''}"
    if group == "metadata":
        values = {name: _said(value) for name, value in said.items() if name != "count"}
        alone = [values[field]] if list(values) == [field] else None
        given = (f"{name.removeprefix(_OWN)}={value}" for name, value in values.items())
        return ", ".join(alone or given)
    named = [str(said[name]) for name in _NAMES if name in said]
    if named and "to" in said:
        named[0] += f" → {said['to']}"
    if named and "fields" in said:
        named[0] += f": {said['fields']}"
    return ", ".join(named)


def _with_files(item: dict[str, Any], named: str) -> tuple[str, str]:
    """Return what was done and to which files, in the order in which it is read."""
    count, group = int(item["data"]["count"]), item["command"].partition(".")[0]
    file = next((record["file"] for record in item["records"] if record["file"] is not None), None)
    if file is None:
        files = counted(count, "conflict" if group == "conflict" else "file")
    else:
        files = file if count < 2 else f"{file} and {count - 1:,} more"
    return (files, named) if group == "metadata" else (named, files)


def _said(value: object) -> str:
    """Return a value as it is given to a verb; it is made safe where it is printed."""
    if value is None:
        return "(cleared)"
    return str(value).lower() if isinstance(value, bool) else str(value)


@click.command()
@click.argument("commit", required=False)
@verb
def undo(context: Context, commit: str | None) -> None:
    """Take the action COMMIT back (its id from history).

    Without one, the last action of this device that was not taken back yet: what others did is never
    taken back unasked. It says what it took back, and what would be next.
    """
    answer = context.work("/v1/undo", {} if commit is None else {"id": commit})
    if context.json:
        put_json(answer)
        return
    chat(f"Taken back: {_in_words(answer['undone'])}.")
    for note in answer["notes"]:
        chat(f"Not as before: {name_text(note)}.")
    for item in answer["passed_over"] if commit is None else ():
        chat(f"Passed over: {name_text(item['command'])}, as {name_text(item['why'])}.")
    if answer["next"] is None:
        chat("Nothing else was done on this device that could be taken back.")
    elif commit is None:
        chat(_next(context, answer))


def _next(context: Context, answer: dict[str, Any]) -> str:
    following, older = answer["next"], answer["older"]
    if not answer["next_stays"]:
        return f"Next: `{context.command('undo')}` takes back {_in_words(following)}."
    why = context.command(f"undo {following['short_id']}")
    told = f"What was done before, {_in_words(following)}, stays: `{why}` says what stands on it"
    if older is not None:
        instead = context.command(f"undo {older['short_id']}")
        told += f"; `{instead}` takes back {_in_words(older)}, done before that"
    return told + "."


def _in_words(item: dict[str, Any]) -> str:
    return ", ".join(filter(None, (name_text(item["command"]), name_text(_about(item)))))


@click.command()
@click.argument("target")
@verb
def lock(context: Context, target: str) -> None:
    """Freeze TARGET (a path, an id, tag:NAME, album:NAME): others' unseen edits lose to it.

    This device may still edit it; others are refused until somebody unlocks it. Of a file it
    freezes what is said of it (note, rating, marks, own data): of all its copies where its content
    is known, as that is one record, else of the file alone. Of a tag or an album it freezes its own
    fields and that it is there. Which files carry the tag or are in the album can be changed all the
    same: each of these links is a record of its own.
    """
    _guard(context, "lock", target, "Locked")


@click.command()
@click.argument("target")
@verb
def unlock(context: Context, target: str) -> None:
    """Let everybody edit TARGET again."""
    _guard(context, "unlock", target, "Unlocked")


def _guard(context: Context, what: str, target: str, done: str) -> None:
    answer = context.client.post(f"/v1/{what}", {"target": record_reference(target)})
    if context.json:
        put_json(answer)
        return
    model = answer["model"]
    # What is said of a file has no name but that of the file.
    named = target if model == "user_metadata" else f"{model} {answer['name']}"
    back = context.command(f"{'unlock' if what == 'lock' else 'lock'} {answer['record']}")
    chat(f"{done}: {name_text(named)}. `{back}` takes it back.")


@click.command()
@verb
def rebuild(context: Context) -> None:
    """Run the whole log again; exits 6 if the result is not what stood there (it is now).

    The log holds what was done to shared records: tags, albums, notes, and their links to files. So
    the number of these is the one that `verify` counts; files and folders are in no log.
    """
    chat("Running the log again …")
    answer = context.work("/v1/rebuild")
    if context.json:
        put_json(answer)
    else:
        commits = counted(f"{answer['commits']:,}", "commit")
        records = counted(format(answer["records"], ","), "shared record")
        gone = answer["deleted"]
        deleted = f", and {counted(f'{gone:,}', 'deleted one')}" if gone else ""
        say(f"{commits} make {records}{deleted}.")
        for difference in answer["differences"]:
            say(name_text(difference))
        if answer["equal"]:
            chat("That is what stood there.")
    if not answer["equal"]:
        raise click.exceptions.Exit(EXIT_PROBLEMS)
