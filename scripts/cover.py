"""Coverage of each module by its own tests alone: what another module's tests reach counts nothing.

One run of the tests, each test module a context; then each module is judged by the context of the
test module that carries its name. What runs at import, before any test, counts for all.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parent.parent
ROOMS = {
    "registry": "tests/registry",
    "entities": "tests/entities",
    "leaderless/protocol": "tests/protocol",
}
WHOLE = 100.0


def modules() -> dict[Path, str]:
    """Return every module of the rooms and the path of its test module."""
    return {
        path: f"{tests}/test_{path.stem.lstrip('_')}.py"
        for room, tests in ROOMS.items()
        for path in sorted((ROOT / room).glob("*.py"))
        if path.stem != "__init__"
    }


class Contexts:
    """Tells coverage which test module runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run one test under the name of its module."""
        self._measured.switch_context(item.nodeid.partition("::")[0])
        return (yield)


def main() -> int:
    """Run the tests of the rooms and print each module that its own tests do not cover."""
    with tempfile.TemporaryDirectory() as scratch:
        measured = coverage.Coverage(
            data_file=f"{scratch}/coverage", branch=True, source=list(ROOMS)
        )
        with measured.collect():
            failed = pytest.main(
                ["-q", "-p", "no:cacheprovider", *ROOMS.values()], plugins=[Contexts(measured)]
            )
        if failed:
            return int(failed)
        measured.save()
        poor = [
            path
            for path, tests in modules().items()
            if measured.report(
                include=[str(path)],
                contexts=["^$", f"^{tests}$"],
                show_missing=True,
                skip_covered=True,
            )
            < WHOLE
        ]
    for path in poor:
        print(f"not covered by its own tests: {path.relative_to(ROOT)}", file=sys.stderr)
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main())
