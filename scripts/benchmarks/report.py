"""The table that people read, from figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scripts.benchmarks.figures import Figure

HEAD = ("benchmark", "what", "here", "floor", "ratio", "spread", "goal", "")
LEFT = frozenset([0, 1, 6, 7])


def number(value: float | None) -> str:
    """Return a number with three digits that say something; "-" for none."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(figure: Figure) -> tuple[str, ...]:
    said = " and ".join(map(str, figure.goals)) or "-"
    verdict = ("met" if figure.all_met else "MISSED") if figure.goals else ""
    return (
        figure.benchmark,
        f"{figure.what} [{figure.unit}]",
        number(figure.value),
        number(figure.floor),
        number(figure.ratio),
        f"{figure.spread:.0%}",
        said,
        verdict,
    )


def table(figures: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of a table, its head first."""
    rows = [HEAD, *map(_row, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if at in LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
