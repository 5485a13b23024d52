"""service, as far as it can be asked without a service manager."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.asking import Said, run

Ask = Callable[..., Said]


def test_a_dry_run_prints_the_unit_and_does_nothing(ask: Ask, tmp_path: Path) -> None:
    """The unit is the data; where it would go, the commands and the advice are beside it."""
    said = ask("service", "install", "--dry-run")
    assert (said.code, said.out.splitlines()[0].startswith("#")) == (0, True)
    assert all(word in said.err for word in ("enable --now", "logout", "linger"))


def test_a_dry_run_answers_in_json(ask: Ask) -> None:
    """With the unit's path and text, the commands and the advice."""
    said = ask("--json", "service", "install", "--dry-run").json()
    assert said["schema"] == 1
    assert ("[Service]" in said["text"], "linger" in said["advice"]) == (True, True)


def test_the_machines_unit_is_shown_to_anybody() -> None:
    """A dry run needs no privileges."""
    said = run("service", "install", "--system", "--dry-run")
    assert (said.code, "DynamicUser=yes" in said.out) == (0, True)


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_the_machines_service_has_no_home_of_a_user(tmp_path: Path, verb: str) -> None:
    """Both at once cannot be meant."""
    assert run("--home", str(tmp_path), "service", verb, "--system").code == 2


def test_what_is_no_device_cannot_be_run(tmp_path: Path) -> None:
    """The first step is named, for this home."""
    said = run("--home", str(tmp_path), "service", "install")
    assert (said.code, f"--home {tmp_path} init" in said.err) == (5, True)


def test_what_is_not_installed_cannot_be_removed(ask: Ask) -> None:
    """Exit 5."""
    assert ask("service", "uninstall").code == 5
