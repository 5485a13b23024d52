"""init, serve, config, completion."""

from __future__ import annotations

import click

from leaderless.cli.app import Context, root, verb
from leaderless.cli.client import EXIT_PROBLEMS
from leaderless.cli.output import chat, name_text, put_json, say


@click.command()
@click.option("--name", help="What to call this device; default: the host name.")
@click.option("--library", default="home", help="What to call the library.")
@click.option("--keep", is_flag=True, help="Do nothing if it is one already.")
@verb
def init(context: Context, name: str | None, library: str, keep: bool) -> None:
    """Make this a device with a library of its own."""
    if keep and context.paths.database.exists():
        return
    from leaderless.clock import SYSTEM_CLOCK  # noqa: PLC0415 - see cli/__init__.py
    from leaderless.daemon import init_home  # noqa: PLC0415 - heavy, and needed here only

    device = init_home(context.paths, name, library, SYSTEM_CLOCK)
    if context.json:
        put_json({"schema": 1, "device_id": device.hex(), "home": str(context.paths.state)})
        return
    say(device.hex())
    chat("Next: `leaderless service install` runs it in the background, `leaderless serve` here.")


@click.command()
@verb
def serve(context: Context) -> None:
    """Run the daemon in the foreground."""
    from leaderless.daemon import serve as run  # noqa: PLC0415 - heavy, and needed here only

    run(context.config())


@click.group()
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
        say(f"{name} = {name_text(value)}")


@config.command("check")
@verb
def config_check(context: Context) -> None:
    """Check the configuration file; exits 6 if something is wrong."""
    from leaderless.config import check  # noqa: PLC0415 - see cli/__init__.py

    problems = check(context.paths)
    if context.json:
        put_json({"schema": 1, "problems": problems})
    for problem in problems:
        chat(name_text(problem))
    if problems:
        raise click.exceptions.Exit(EXIT_PROBLEMS)
    if not context.json:
        chat("The configuration is fine.")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), default="bash")
@verb
def completion(context: Context, shell: str) -> None:  # noqa: ARG001 - every verb gets it
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - rare

    found = get_completion_class(shell)
    if found is not None:
        say(found(root, {}, "leaderless", "_LEADERLESS_COMPLETE").source())
