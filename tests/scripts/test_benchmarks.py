"""What becomes of figures: goals, the table, the picture; and the rows that it is measured on."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count, groupby
from xml.etree import ElementTree as ET

import pytest

from scripts.benchmarks import commandline
from scripts.benchmarks.figures import (
    Figure,
    at_least_of_floor,
    at_most,
    at_most_of_floor,
)
from scripts.benchmarks.plot import series_of, svg
from scripts.benchmarks.report import number, table
from scripts.benchmarks.trees import tree

FIGURE = Figure("x", "what", "ms", (8.0, 12.0, 10.0), (4.0, 4.0, 10.0))


def test_a_figure_is_the_median_of_its_runs_and_of_their_ratios() -> None:
    """Each run is held against the floor beside it, and not against that of another one."""
    assert (FIGURE.value, FIGURE.floor, FIGURE.ratio, FIGURE.spread) == (10.0, 4.0, 2.0, 0.4)
    assert Figure("x", "what", "ms", (0.0,)).spread == 0.0
    assert Figure("x", "what", "ms", (1.0,)).ratio is None


@pytest.mark.parametrize(
    ("goal", "said", "met"),
    [
        (at_most(10), "≤ 10", True),
        (at_most(9.9), "≤ 9.9", False),
        (at_most_of_floor(2), "≤ 2 x floor", True),
        (at_most_of_floor(1.9), "≤ 1.9 x floor", False),
        (at_least_of_floor(2), "≥ 2 x floor", True),
        (at_least_of_floor(2.1), "≥ 2.1 x floor", False),
    ],
)
def test_a_goal_is_held_against_the_value_or_what_it_is_of_the_floor(
    goal: object, said: str, met: bool
) -> None:
    """It says which."""
    assert str(goal) == said
    assert FIGURE.met(goal) is met  # type: ignore[arg-type]


def test_a_table_says_of_each_goal_whether_it_is_met() -> None:
    """One that is not is told in capitals; a figure without goals is told as it is."""
    goals = (at_most(20), at_most_of_floor(1))
    figures = [
        Figure("a", "one", "ms", (1_234.0,)),
        Figure("b", "two", "ms", (10.0,), (4.0,), goals),
        Figure("c", "three", "ms", (10.0,), goals=goals[:1]),
    ]
    head, *lines = table(figures)
    assert head.split() == ["benchmark", "what", "here", "floor", "ratio", "spread", "goal"]
    assert [line.split()[-1] for line in lines] == ["-", "MISSED", "met"]
    assert "1,234" in lines[0]


@pytest.mark.parametrize(
    ("value", "said"), [(None, "-"), (0.12345, "0.123"), (99.96, "100"), (12_345.6, "12,346")]
)
def test_a_number_has_the_digits_that_say_something(value: float | None, said: str) -> None:
    """Three, or all that are before the point."""
    assert number(value) == said


def test_a_picture_has_a_line_for_each_benchmark_that_has_sizes() -> None:
    """A lower cost is lower in it, and more rows are further to the right."""
    figures = [
        Figure("growth", "few", "us/row", (100.0,), size=1_000),
        Figure("growth", "many", "us/row", (10.0,), size=100_000),
        Figure("wire", "an entry", "bytes", (38.0,)),
    ]
    root = ET.fromstring(svg(series_of(figures)))  # noqa: S314 - it is our own
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    (x1, y1), (x2, y2) = (map(float, at.split(",")) for at in line.attrib["points"].split())
    assert x1 < x2
    assert y1 < y2


def test_without_sizes_there_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said which benchmark has them, before anything is measured."""
    with pytest.raises(ValueError, match="growth"):
        svg(series_of([FIGURE]))
    with pytest.raises(SystemExit):
        commandline.main(["wire", "--plot", "x.svg"])
    assert "growth" in capsys.readouterr().err


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that there are are named."""
    with pytest.raises(SystemExit):
        commandline.main(["speed"])
    assert "backfill" in capsys.readouterr().err


def test_a_tree_is_the_same_for_the_same_seed_and_has_parents_first() -> None:
    """One root, directories with some twelve names each, and every name once."""

    def made() -> list[tuple[object, ...]]:
        numbers = count()
        new = lambda: next(numbers).to_bytes(16, "big")  # noqa: E731
        return list(tree(random.Random(1), new, b"l" * 16, 5_000))

    rows = made()
    assert rows == made()
    assert len(rows) == 5_000
    seen: set[object] = {None}
    for uuid, _, parent, *_ in rows:
        assert parent in seen
        seen.add(uuid)
    together = [parent for parent, _ in groupby(row[2] for row in rows)]
    assert len(together) == len(set(together))
    kinds = Counter(row[5] for row in rows)
    assert 10 < kinds["file"] / kinds["directory"] < 13
    assert len({row[3] for row in rows}) == 5_000
