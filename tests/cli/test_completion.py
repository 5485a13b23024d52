"""What the shell offers while a command is typed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from leaderless.cli.app import VERBS, root
from leaderless.errors import UnreachableError
from scripts.device import Device
from tests.cli.asking import answering, failed, http, run


def _offered(home: Path, *typed: str, incomplete: str = "") -> list[str]:
    """Return what is offered behind the words typed so far."""
    shell = ShellComplete(root, {}, "leaderless", "_LEADERLESS_COMPLETE")
    found = shell.get_completions(["--home", str(home), *typed], incomplete)
    return [item.value for item in found]


def test_names_come_from_the_daemon(daemon: Device) -> None:
    """Only those that begin as typed."""
    for name in ("completable-one", "completable-two", "other"):
        daemon.run("tag", "create", name)
    offered = _offered(daemon.home, "tag", "show", incomplete="completable")
    assert offered == ["completable-one", "completable-two"]


@pytest.mark.parametrize(
    "typed", [["tag", "show"], ["location", "scan"], ["device", "rename"], ["find", "--tag"]]
)
def test_without_a_daemon_nothing_is_offered(
    tmp_path: Path, typed: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """And nothing is said: it would land in the middle of the line."""
    assert _offered(tmp_path, *typed) == []
    assert capfd.readouterr() == ("", "")


def test_a_daemon_that_refuses_offers_nothing(tmp_path: Path) -> None:
    """An error is no candidate."""
    with answering(tmp_path, failed(403, UnreachableError.code, "no")):
        assert _offered(tmp_path, "tag", "show") == []


def test_names_that_would_steer_the_shell_are_not_offered(tmp_path: Path) -> None:
    """A line break would be read as the next candidate, an escape by the terminal."""
    names = ["good", "two\nplain,evil", "red\x1b[31m", "mirror\u202e", "größe"]
    with answering(tmp_path, http({"names": names})):
        assert _offered(tmp_path, "tag", "show") == ["good", "größe"]


def test_kinds_are_offered(tmp_path: Path) -> None:
    """They need no daemon."""
    assert _offered(tmp_path, "find", "--kind", incomplete="d") == ["directory"]


def test_help_lists_every_verb() -> None:
    """With what each does, and exits well."""
    said = run("--help")
    assert said.code == 0
    assert all(f"  {verb} " in said.out for verb in VERBS)


def test_each_verb_can_be_asked_for_help() -> None:
    """Every line of the list leads to a command."""
    assert all(
        isinstance(root.get_command(click.Context(root), verb), click.Command) for verb in VERBS
    )


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["tag", "nonsense"]])
def test_an_unknown_verb_is_a_usage_error_in_json(arguments: list[str]) -> None:
    """Exit 2, with an object that has a schema."""
    said = run("--json", *arguments)
    assert (said.code, said.json()["schema"], said.json()["error"]["code"]) == (2, 1, "usage")


def test_two_devices_at_once_cannot_be_meant(tmp_path: Path) -> None:
    """A home and the machine's own service exclude each other."""
    assert run("--home", str(tmp_path), "--system", "status").code == 2
