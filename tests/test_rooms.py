"""The shape of the house: what is kept about files and tests, whoever writes them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("registry", "entities", "leaderless", "scripts", "tests")
MOST_LINES = 400
NAMELESS = {"utils", "helpers", "core", "common", "manager"}


def files(*rooms: str) -> list[Path]:
    """Return the Python files of some rooms."""
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("room", ["registry", "entities", "leaderless/protocol"])
def test_each_module_has_a_test_module_of_its_name(room: str) -> None:
    """Whoever changes a module of the pure rooms finds its tests by its name."""
    tests = ROOT / "tests" / Path(room).name
    modules = {path.stem.lstrip("_") for path in (ROOT / room).glob("*.py")} - {"init__"}
    assert modules - {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")} == set()


def test_every_test_states_a_behaviour() -> None:
    """A test says in its docstring what holds."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_files_stay_small_enough_to_live_in() -> None:
    """A file that grows beyond its bound is several rooms."""
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in files(*CODE)}
    assert {path.name: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_every_room_has_a_purpose_in_its_name() -> None:
    """No room is a place for what nobody placed."""
    names = {part for path in files(*CODE) for part in path.relative_to(ROOT).with_suffix("").parts}
    assert names & NAMELESS == set()
