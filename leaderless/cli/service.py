"""service: the background service."""

from __future__ import annotations

import os

import click

from leaderless import service as services
from leaderless.cli.app import Context, Group, verb
from leaderless.cli.output import chat, put_json, say
from leaderless.errors import NotFoundError, UsageError


@click.group(cls=Group)
def service() -> None:
    """Install or remove the background service."""


def _plan(context: Context, *, system: bool) -> services.Plan:
    home = context.home or os.environ.get("LEADERLESS_HOME")
    if home and system:
        raise UsageError("the machine's service has folders of its own; leave --home out")
    program = services.program_path()
    return services.plan(system=system, program=program, home=home, environment=os.environ)


@service.command("install")
@click.option("--user", "scope", flag_value="user", default=True, help="For this user (default).")
@click.option("--system", "scope", flag_value="system", help="For the machine; needs root.")
@click.option("--dry-run", is_flag=True, help="Print the unit and the commands only.")
@verb
def service_install(context: Context, scope: str, dry_run: bool) -> None:
    """Run the daemon in the background from now on."""
    found = _plan(context, system=scope == "system")
    if dry_run:
        _show(context, found)
        return
    if scope == "user" and not context.paths.database.exists():
        raise NotFoundError("there is no device to run yet", hint="leaderless init")
    services.install(found)
    if context.json:
        put_json({"schema": 1, "unit": str(found.path), "advice": found.advice})
        return
    say(str(found.path))
    chat(found.advice)


def _show(context: Context, found: services.Plan) -> None:
    """Say what would be done."""
    commands = [" ".join(command) for command in found.commands]
    if context.json:
        about = {"unit": str(found.path), "text": found.text, "commands": commands}
        put_json({"schema": 1, **about, "advice": found.advice})
        return
    chat(f"{found.path}:")
    say(found.text)
    for line in (*commands, found.advice):
        chat(line)


@service.command("uninstall")
@click.option("--user", "scope", flag_value="user", default=True, help="Of this user (default).")
@click.option("--system", "scope", flag_value="system", help="Of the machine; needs root.")
@verb
def service_uninstall(context: Context, scope: str) -> None:
    """Stop the background service and remove it; the library stays."""
    system = scope == "system"
    services.uninstall(_plan(context, system=system))
    if context.json:
        put_json({"schema": 1})
    else:
        chat("Removed; the library stays where it is.")
