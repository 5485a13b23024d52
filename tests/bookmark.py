"""The package that docs/models.md builds, taken from the page itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from registry.models import Model

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
_FILE = re.compile(r"`([a-z_]+\.(?:toml|py))`:\n\n```[a-z]+\n(.*?)```", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def files() -> dict[str, str]:
    """Return the files of the package by name."""
    return dict(_FILE.findall(PAGE.read_text(encoding="utf-8")))


def write_package(folder: Path) -> Path:
    """Write the package into a folder, and return it."""
    folder.mkdir()
    for name, text in files().items():
        (folder / name).write_text(text)
    return folder


def models() -> tuple[Model, ...]:
    """Return every model of the page, in its order."""
    made: dict[str, Any] = {}
    for text in _PYTHON.findall(PAGE.read_text(encoding="utf-8")):
        exec(text, made)  # noqa: S102 - the page is ours
    return tuple(value for value in made.values() if isinstance(value, Model))
