"""A picture of what a row costs at which size: both axes by powers of ten, as SVG."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final

from scripts.benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scripts.benchmarks.figures import Figure

WIDTH: Final = 720
HEIGHT: Final = 420
MARGIN: Final = 60
COLOURS: Final = ("#1b6ca8", "#c0392b", "#27815b", "#8e5ea2", "#b8860b", "#555555")
Point = tuple[float, float]


def series_of(figures: Sequence[Figure]) -> dict[str, list[Point]]:
    """Return the points (size, cost) of all figures that have a size, by benchmark."""
    found: dict[str, list[Point]] = {}
    for figure in figures:
        if figure.size is not None and figure.value > 0:
            found.setdefault(f"{figure.benchmark} [{figure.unit}]", []).append(
                (figure.size, figure.value)
            )
    return found


class _Axis:
    """A range of powers of ten along so many pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, high = floor(log10(min(values))), ceil(log10(max(values)))
        self.high = max(high, self.low + 1)
        self._start, self._scale = start, (end - start) / (self.high - self.low)

    def at(self, value: float) -> float:
        """Return where a value stands."""
        return self._start + (log10(value) - self.low) * self._scale

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield where each power of ten stands, and its name."""
        for power in range(self.low, self.high + 1):
            yield self.at(10.0**power), number(10.0**power)


def svg(series: Mapping[str, Sequence[Point]]) -> str:
    """Return the picture; raises ValueError where there is nothing to show."""
    points = [point for line in series.values() for point in line]
    if not points:
        raise ValueError("no benchmark that ran has a cost at several sizes: name `growth`")
    across = _Axis([size for size, _ in points], MARGIN, WIDTH - MARGIN)
    up = _Axis([cost for _, cost in points], HEIGHT - MARGIN, MARGIN)
    space = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    lines = [
        f'<svg {space} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_grid(across, up),
    ]
    for at, (name, line) in enumerate(sorted(series.items())):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{across.at(size):.1f},{up.at(cost):.1f}" for size, cost in sorted(line))
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{MARGIN + 8}" y="{MARGIN + 16 * at}" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for x, name in across.ticks():
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{MARGIN}" y2="{HEIGHT - MARGIN}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{name}</text>'
    for y, name in up.ticks():
        yield f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">rows</text>'
