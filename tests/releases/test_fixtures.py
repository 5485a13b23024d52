"""Every released version has left its library and a session for the tests of later ones."""

from __future__ import annotations

import json

from leaderless import __version__
from leaderless.protocol.messages import PROTOCOL_VERSION
from tests.releases.kept import FIXTURES, RELEASES, Release

MOST_BYTES = 400_000


def test_a_version_that_is_released_has_its_fixtures() -> None:
    """Who takes the .dev off a version records it first."""
    released = ".dev" not in __version__
    assert not released or __version__ in RELEASES, (
        f"version {__version__} is about to be released without fixtures: run"
        " scripts/make-release-fixtures and commit tests/fixtures, or make it a .dev version"
    )


def test_the_first_release_is_kept() -> None:
    """Nobody drops it for being old."""
    assert "0.1.0" in RELEASES


def test_what_is_kept_says_of_what_it_is() -> None:
    """A folder is of the version it is named after, and of a protocol that is still spoken."""
    for version in RELEASES:
        about = json.loads((Release(version).folder / "about.json").read_text())
        assert (about["version"], about["protocol"][0]) == (version, PROTOCOL_VERSION[0])


def test_what_is_kept_is_small() -> None:
    """Every clone carries it."""
    for version in RELEASES:
        size = sum(path.stat().st_size for path in (FIXTURES / version).iterdir())
        assert size < MOST_BYTES
