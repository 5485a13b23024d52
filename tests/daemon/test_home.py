"""A device's first day."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.config import Paths, find_paths, load
from leaderless.daemon.home import InitializedError, init_home
from leaderless.errors import UsageError
from leaderless.identity import certificate_key, load_or_create
from leaderless.protocol.membership import Role, Signed, membership_of
from tests.replicas import SteppedClock, query_file


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the folders of a device that is not there yet."""
    return find_paths(str(tmp_path / "home"), {})


def test_a_new_device_is_the_admin_of_a_library_of_its_own(paths: Paths) -> None:
    """One signed statement makes the library, and its author the first member."""
    device = init_home(paths, "nas", "photos", SteppedClock())
    ((library,),) = query_file(paths.database, "SELECT value FROM meta WHERE name = 'library'")
    said = [
        Signed(body, signature)
        for body, signature in query_file(paths.database, "SELECT body, signature FROM statement")
    ]
    members = membership_of(library, said, certificate_key)
    identity = load_or_create(paths.keys)
    assert members.library_name == "photos"
    assert [(key, item.role) for key, item in members.members.items()] == [
        (identity.public_key, Role.ADMIN)
    ]
    assert device == identity.device


@pytest.mark.parametrize("name", ["nas", 'my "big" nas', "back\\slash", "ünïcode"])
def test_the_given_name_stands_in_the_configuration(paths: Paths, name: str) -> None:
    """Any name can be given, and is read back as it was."""
    init_home(paths, name, "home", SteppedClock())
    assert load(paths).name == name


def test_a_configuration_that_is_there_is_kept(paths: Paths) -> None:
    """What a person wrote before is not overwritten."""
    paths.config.mkdir(parents=True)
    paths.config_file.write_text('name = "mine"\n')
    init_home(paths, None, "home", SteppedClock())
    assert paths.config_file.read_text() == 'name = "mine"\n'


def test_a_name_that_a_configuration_contradicts_is_refused(paths: Paths) -> None:
    """Which of the two is meant is for the person to say."""
    paths.config.mkdir(parents=True)
    paths.config_file.write_text('name = "mine"\n')
    with pytest.raises(InitializedError, match="another name"):
        init_home(paths, "other", "home", SteppedClock())
    assert not paths.database.exists()


@pytest.mark.parametrize(("name", "library"), [("b\udcff", "home"), (None, "q\udcff")])
def test_a_name_that_is_no_text_leaves_nothing_behind(
    paths: Paths, name: str | None, library: str
) -> None:
    """A refused name makes neither a key nor a configuration."""
    with pytest.raises(UsageError):
        init_home(paths, name, library, SteppedClock())
    assert not paths.state.exists()
    assert not paths.config_file.exists()


def test_nobody_else_can_look_into_a_home(paths: Paths) -> None:
    """Folders are for their owner alone, and so is the database."""
    init_home(paths, None, "home", SteppedClock())
    modes = [path.stat().st_mode & 0o077 for path in (paths.config, paths.state, paths.database)]
    assert modes == [0, 0, 0]


def test_a_second_init_changes_nothing(paths: Paths) -> None:
    """Where there is a device, nothing is made, and the error says how to start it."""
    init_home(paths, None, "home", SteppedClock())
    before = paths.database.read_bytes(), paths.config_file.read_bytes()
    with pytest.raises(InitializedError) as caught:
        init_home(paths, "other", "other", SteppedClock())
    assert caught.value.hint == "leaderless serve"
    assert (paths.database.read_bytes(), paths.config_file.read_bytes()) == before


def test_what_a_crash_left_half_made_is_made_anew(paths: Paths) -> None:
    """A library that was not finished is no library, and does not stand in the way."""
    paths.state.mkdir(parents=True)
    for name in ("library.new", "library.new-wal"):
        (paths.state / name).write_bytes(b"half")
    init_home(paths, None, "home", SteppedClock())
    assert sorted(path.name for path in paths.state.glob("library*")) == ["library.db"]


def test_an_interrupted_init_keeps_its_key(paths: Paths) -> None:
    """A device that has a key already stays who it is."""
    identity = load_or_create(paths.keys)
    assert init_home(paths, None, "home", SteppedClock()) == identity.device
