"""Asking a person before something that cannot be taken back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from leaderless.errors import UsageError

if TYPE_CHECKING:
    from leaderless.cli.app import Context


def make_sure(context: Context, what: str, question: str, command: str) -> None:
    """Ask on the terminal, and end the program unless the answer is yes.

    Where nobody is there to ask, raises UsageError: `what` would happen, and the verb `command` does it
    unasked. JSON is for programs, which are not asked either.
    """
    if context.json or not sys.stdin.isatty():
        raise UsageError(what, hint=context.command(command))
    click.confirm(question, abort=True, err=True)
