"""The root command: global options, the list of verbs, errors as messages and exit codes.

A verb's module is imported when the verb is used.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, NoReturn

import click

from leaderless import __version__
from leaderless.cli.client import EXIT_FAILED, Client, exit_code, start_command
from leaderless.cli.output import chat, put_json
from leaderless.errors import LeaderlessError, NotPermittedError, UsageError
from leaderless.escape import printable, shell_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leaderless.config import Config, Parsers, Paths

# verb: (module, function, what `--help` says of it)
VERBS = {
    "init": ("setup", "init", "Make this a device with a library of its own."),
    "serve": ("setup", "serve", "Run the daemon in the foreground."),
    "status": ("status", "status", "Say how things are; the first line is the verdict."),
    "peers": ("status", "peers", "List the other devices and how each is doing."),
    "wait": ("status", "wait", "Wait until something is so."),
    "events": ("status", "events", "Follow what happens, as NDJSON."),
    "pair": ("pair", "pair", "Show a code, or type one to join another device's library."),
    "device": ("lists", "device", "List, rename and revoke devices, or claim this one."),
    "volume": ("lists", "volume", "List drives."),
    "location": ("locations", "location", "Add, list, scan, pause and remove indexed folders."),
    "find": ("find", "find", "Find files on all devices, also those that are off."),
    "tag": ("tags", "tag", "Make tags, put them on files, and relate them to each other."),
    "album": ("albums", "album", "Make albums and arrange what is in them."),
    "show": ("show", "show", "Show everything about a file."),
    "note": ("metadata", "note", "Write a note to files, or take it away."),
    "favorite": ("metadata", "favorite", "Make files favorites."),
    "rate": ("metadata", "rate", "Rate files from 0 to 5."),
    "hide": ("metadata", "hide", "Mark files as hidden."),
    "meta": ("metadata", "meta", "Set and unset data of your own on files."),
    "copies": ("copies", "copies", "List every copy of a file."),
    "at-risk": ("copies", "at_risk", "List files that exist on one device only."),
    "duplicates": ("copies", "duplicates", "List contents that are there more than once."),
    "record": ("records", "record", "List and edit records of any model, also of packages."),
    "history": ("history", "history", "Say who did what, when, and who has it."),
    "changes": ("history", "changes", "Say what others did while you were away."),
    "undo": ("history", "undo", "Take an action back."),
    "conflicts": ("conflicts", "conflicts", "List, restore and dismiss what lost against others."),
    "lock": ("history", "lock", "Freeze a tag, an album or what is said of a file."),
    "unlock": ("history", "unlock", "Let everybody edit it again."),
    "verify": (
        "proof",
        "verify",
        "Count all that is held again, mend it, and say who holds the same.",
    ),
    "diff": ("proof", "diff", "Name what another device holds otherwise."),
    "rebuild": ("history", "rebuild", "Recompute what is shown from the log, and prove it equal."),
    "export": ("status", "export", "Print every synced record as canonical NDJSON."),
    "config": ("setup", "config", "Show and check the configuration."),
    "service": ("service", "service", "Install or remove the background service."),
    "completion": ("setup", "completion", "Print the completion script of a shell."),
}

LONG_S = 3_600.0
"""What changes a million files may take."""
_WHOLE = 1_000
"""Characters of a help text that are enough for any first sentence."""
_OURS = re.compile(r"(^|; |, or )leaderless (?=[a-z])")
"""Where a remedy begins with a command of ours, the only one or one of several."""


@dataclass
class Context:
    """What every verb gets: the home, and how to print."""

    home: str | None = None
    json: bool = False
    system: bool = False

    def command(self, verb: str) -> str:
        """Return the command line with a verb (and its arguments) for this very device."""
        home = self.home or os.environ.get("LEADERLESS_HOME")
        given = " --system" if self.system else f" --home {shell_word(home)}" if home else ""
        return f"leaderless{given} {verb}"

    def hint(self, text: str) -> str:
        """Return a remedy as it is shown: commands of ours are for this very device."""
        return _OURS.sub(lambda found: found[1] + self.command(""), text)

    def told(self, text: str) -> str:
        """Return what a device says of itself, with its remedy (`…: leaderless …`) for this one."""
        what, colon, verb = text.rpartition(": leaderless ")
        return f"{what}: {self.command(verb)}" if colon else text

    @cached_property
    def paths(self) -> Paths:
        """Return where this device keeps its things."""
        from leaderless.config import find_paths  # noqa: PLC0415 - see the module's docstring

        return find_paths(self.home, os.environ, system=self.system)

    def config(self, parsers: Parsers | None = None) -> Config:
        """Return the configuration; `parsers` look at what its texts mean."""
        from leaderless.config import load  # noqa: PLC0415 - see the module's docstring

        return load(self.paths, parsers or {})

    @cached_property
    def client(self) -> Client:
        """Return the daemon to ask."""
        return Client(self.paths, self._start_command)

    def work(
        self, path: str, body: dict[str, Any] | None = None, timeout_s: float = LONG_S
    ) -> dict[str, Any]:
        """Ask for something that may take long; on a terminal it is told how far that is."""
        if not sys.stderr.isatty():
            return self.client.post(path, body, timeout_s)
        from leaderless.cli.progress import done, shown_while  # noqa: PLC0415 - only on a terminal

        client = self.client
        return shown_while(lambda: client.post(path, body, timeout_s), lambda: done(client))

    def _start_command(self) -> str:
        from leaderless import service  # noqa: PLC0415 - only where nobody answers

        home = self.home or os.environ.get("LEADERLESS_HOME")
        unit, units = service.unit_name(home), service.unit_folder(os.environ, system=False)
        return start_command(self.paths, unit, units, system=self.system)


class Verbs(click.Group):
    """The verbs, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a verb."""
        if name not in VERBS:
            return None
        module, function, _ = VERBS[name]
        command = getattr(importlib.import_module(f"leaderless.cli.{module}"), function)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in VERBS.items()])


class Group(click.Group):
    """A verb with verbs of its own; its help says of each the whole first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs, with what each does uncut."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, item.get_short_help_str(_WHOLE)) for name, item in found if item]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Keep everything under one folder (LEADERLESS_HOME).")
@click.option("--system", is_flag=True, help="Ask the machine's own service, as root.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.version_option(__version__, prog_name="leaderless")
@click.pass_context
def root(ctx: click.Context, home: str | None, system: bool, as_json: bool) -> None:
    """One catalogue of all files on all your devices, kept by equals."""
    if home is not None and system:
        raise click.UsageError("--home and --system are two different devices")
    context = ctx.ensure_object(Context)
    context.home, context.system = home, system
    context.json = context.json or as_json


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb its `--json` and the context as first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @click.pass_context
    def wrapped(ctx: click.Context, /, *args: Any, as_json: bool, **kwargs: Any) -> Any:  # noqa: ANN401
        context: Context = ctx.obj
        context.json = context.json or as_json
        return ctx.invoke(function, context, *args, **kwargs)

    return update_wrapper(wrapped, function)


def names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completer that asks the daemon for names; silent if it is down."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        given = ctx.find_root().params
        try:
            client = Context(given.get("home"), system=given.get("system", False)).client
            query = {"kind": kind, "prefix": incomplete}
            found = client.get("/v1/complete", query, timeout_s=1.0)["names"]
        except LeaderlessError:
            return []
        # Shells print these, and read a line break as the next name.
        return [name for name in found if printable(name) == name]

    return complete


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (None: that of this process) and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    context = Context(json="--json" in given)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    try:
        code = root.main(given, prog_name="leaderless", standalone_mode=False, obj=context)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        if context.json:
            _put_error(UsageError(error.format_message()))
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except LeaderlessError as error:
        _end(context, error)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        kind = NotPermittedError if isinstance(error, PermissionError) else LeaderlessError
        _end(context, kind(what))


def _end(context: Context, error: LeaderlessError) -> NoReturn:
    """Say what is wrong, and exit with its code."""
    # A command that is printed can be pasted: what is harmless in it stays as it is.
    hint = error.hint and context.hint(printable(error.hint))
    error.hint = error.hint and context.hint(error.hint)
    if context.json:
        _put_error(error)
    chat(f"leaderless: {printable(error.message)}")
    if hint:
        chat(f"  → {hint}")
    sys.exit(exit_code(error))


def _put_error(error: LeaderlessError) -> None:
    about = {"code": error.code, "message": error.message, "hint": error.hint}
    put_json({"schema": 1, "error": about})
