"""init, serve, config, completion."""

from __future__ import annotations

import gc
import json
import re
from typing import TYPE_CHECKING

import click

from leaderless.cli.app import Context, Group, root, verb
from leaderless.cli.client import EXIT_PROBLEMS
from leaderless.cli.output import chat, harmless_json, name_text, put_json, say
from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


def _parsers() -> dict[str, Callable[[str], object]]:
    """Return who reads the texts of which options in the end."""
    from leaderless.discovery.static import parse_address  # noqa: PLC0415 - see cli/__init__.py

    def glob(text: str) -> None:
        from leaderless.indexer.ignore import Ignored  # noqa: PLC0415 - where there are globs

        try:
            Ignored([text])
        except re.error as error:
            raise ValueError(str(error)) from error

    return {"advertise": parse_address, "peers": parse_address, "ignore": glob}


@click.command()
@click.option("--name", help="What to call this device; default: the host name.")
@click.option("--library", default="home", help="What to call the library.")
@click.option("--keep", is_flag=True, help="Do nothing if it is one already.")
@verb
def init(context: Context, name: str | None, library: str, keep: bool) -> None:
    """Make this a device with a library of its own."""
    if keep and context.paths.database.exists():
        if context.json:
            put_json({"schema": 1, "home": str(context.paths.state)})
        return
    from leaderless.clock import SYSTEM_CLOCK  # noqa: PLC0415 - see cli/__init__.py
    from leaderless.daemon import init_home  # noqa: PLC0415 - heavy, and needed here only

    device = init_home(context.paths, name, library, SYSTEM_CLOCK)
    if context.json:
        put_json({"schema": 1, "device_id": device.hex(), "home": str(context.paths.state)})
        return
    chat("This device has a library of its own now. Its id:")
    say(device.hex())
    install, run = context.command("service install"), context.command("serve")
    chat(f"Next: `{install}` runs it in the background, `{run}` here.")


@click.command()
@verb
def serve(context: Context) -> None:
    """Run the daemon in the foreground."""
    # Nothing that is loaded is ever garbage: it is not searched for any, neither now nor later.
    gc.disable()
    from leaderless.daemon import serve as run  # noqa: PLC0415 - heavy, and needed here only

    gc.freeze()
    gc.enable()
    run(context.config(_parsers()))


@click.group(cls=Group)
def config() -> None:
    """Show and check the configuration."""


@config.command("show")
@verb
def config_show(context: Context) -> None:
    """Show every option as it holds."""
    found = context.config()
    if context.json:
        put_json({"schema": 1, "file": str(found.paths.config_file), "options": found.options()})
        return
    chat(str(found.paths.config_file))
    for name, value in found.options().items():
        # What is JSON here is TOML, too.
        line = f"{name} = {harmless_json(json.dumps(value, ensure_ascii=False))}"
        if name == "name":
            line += f"  # at its start; since then: {context.command('device rename')}"
        say(line)


@config.command("check")
@verb
def config_check(context: Context) -> None:
    """Check the configuration file; exits 6 if something is wrong."""
    from leaderless.advice import advice  # noqa: PLC0415 - see cli/__init__.py
    from leaderless.config import check  # noqa: PLC0415 - the same

    file = context.paths.config_file
    problems = check(context.paths, _parsers())
    found = [] if problems else list(advice(context.config(_parsers())))
    if context.json:
        warnings = [item._asdict() for item in found]
        about = {"file": str(file), "exists": file.exists(), "problems": problems}
        put_json({"schema": 1, **about, "warnings": warnings})
    else:
        for problem in problems:
            chat(name_text(problem))
        for item in found:
            chat(f"warning: {name_text(item.text)}")
            chat(f"  → {name_text(item.hint)}")
    if problems:
        raise click.exceptions.Exit(EXIT_PROBLEMS)
    if context.json:
        return
    if file.exists():
        chat("The configuration can be used." if found else "The configuration is fine.")
        return
    chat(f"There is no {name_text(file)}: every option has its default.")
    if not context.paths.database.exists():
        chat(f"  → {context.command('init')}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), default="bash")
@verb
def completion(context: Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - rare

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    script = found(root, {}, "leaderless", "_LEADERLESS_COMPLETE").source()
    if context.json:
        put_json({"schema": 1, "script": script})
    else:
        say(script)
