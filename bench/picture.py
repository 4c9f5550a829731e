"""An SVG of what a flow costs over the number of actions: three mixes of nfa, and netifyd's engine in C++.

In: the figures of `evaluation.measure`. Out: the text of an SVG file with two logarithmic axes, readable on light and on dark
ground and, by its title and description, without eyes.
"""

from __future__ import annotations

from html import escape
from math import log10
from typing import Any

from table import CPP, MIXES

_WIDTH, _HEIGHT = 800, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 570, 30, 380
_COLOURS = {"indexable": "a", "mixed": "b", "unindexable": "c", "cpp": "d"}
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.grid { stroke: #d0d7de; stroke-width: 1; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.new { stroke-dasharray: 6 4; stroke-width: 1.8; }
.a { stroke: #0969da; } .b { stroke: #1a7f37; } .c { stroke: #9a6700; } .d { stroke: #cf222e; }
.band { stroke: none; opacity: .12; } .band.a { fill: #0969da; } .band.b { fill: #1a7f37; } .band.c { fill: #9a6700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .grid { stroke: #30363d; }
  .a { stroke: #58a6ff; } .b { stroke: #3fb950; } .c { stroke: #d29922; } .d { stroke: #ff7b72; }
  .band.a { fill: #58a6ff; } .band.b { fill: #3fb950; } .band.c { fill: #d29922; }
}
"""

Points = list[tuple[float, float]]


def draw(evaluation: dict[str, Any]) -> str:
    """Return the picture."""
    solid = {mix: _points(counts, "again") for mix, counts in evaluation.items()}
    dashed = {mix: _points(counts, "named") for mix, counts in evaluation.items()}
    every = [*solid.values(), *dashed.values(), [(float(count), cost) for count, cost in CPP.items()]]
    costs = [cost for points in every for _, cost in points]
    counts = [count for points in every for count, _ in points]
    plane = _Plane(min(counts), max(counts), 10.0 ** _floor(min(costs)), 10.0 ** (_floor(max(costs)) + 1))
    parts = [*plane.grid()]
    labels = []
    for mix, points in solid.items():
        colour = _COLOURS[mix]
        parts.append(f'<polygon class="band {colour}" points="{plane.path(points + dashed[mix][::-1])}"/>')
        parts.append(f'<polyline class="line {colour}" points="{plane.path(points)}"/>')
        parts.append(f'<polyline class="line new {colour}" points="{plane.path(dashed[mix])}"/>')
        labels.append((plane.y(points[-1][1]), plane.x(points[-1][0]), f"nfa, {MIXES[mix]}, seen before"))
        labels.append((plane.y(dashed[mix][-1][1]), plane.x(dashed[mix][-1][0]), f"nfa, {MIXES[mix]}, new"))
    theirs = every[-1]
    parts.append(f'<polyline class="line d" points="{plane.path(theirs)}"/>')
    parts += _spread(labels)
    x, y = plane.x(theirs[-1][0]), plane.y(theirs[-1][1])
    parts.append(f'<text x="{x - 8:.0f}" y="{y - 4:.0f}" text-anchor="end">netifyd 4.4.7, C++ (measured elsewhere)</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 12}">microseconds a flow record</text>')
    parts.append(f'<text x="{_RIGHT}" y="{_BOTTOM + 40}" text-anchor="end">actions in the policy</text>')
    title = "What a flow record costs to evaluate, over the number of actions"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d">'
    said = f'<title id="t">{title}</title><desc id="d">{escape(_described(solid, dashed))}</desc>'
    return "\n".join([head, said, f"<style>{_STYLE}</style>", *parts, "</svg>\n"])


class _Plane:
    """Numbers to places, on two logarithmic axes."""

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        self._left, self._right, self._low, self._high = left, right, low, high

    def x(self, count: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * log10(count / self._left) / log10(self._right / self._left)

    def y(self, cost: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * log10(cost / self._low) / log10(self._high / self._low)

    def path(self, points: Points) -> str:
        return " ".join(f"{self.x(count):.1f},{self.y(cost):.1f}" for count, cost in points)

    def grid(self) -> list[str]:
        """Return a line and its number for each power of ten of the cost, and for each count of actions."""
        parts = []
        for power in range(_floor(self._low), _floor(self._high) + 1):
            y = self.y(10.0**power)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        for count in (10, 100, 1000, 5000):
            if self._left <= count <= self._right:
                x = self.x(count)
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>')
                parts.append(f'<text x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="middle">{count:,}</text>')
        return parts


def _floor(value: float) -> int:
    """Return the power of ten that a number has."""
    return int(log10(value) // 1)


def _points(counts: dict[str, dict[str, float]], way: str) -> Points:
    return [(float(count), figures[way]) for count, figures in counts.items()]


def _spread(labels: list[tuple[float, float, str]]) -> list[str]:
    """Return the texts at the ends of the lines, moved apart where they would cover each other."""
    parts = []
    lowest = 0.0
    for y, x, text in sorted(labels):
        lowest = max(y, lowest + 16)
        parts.append(f'<text x="{x + 8:.0f}" y="{lowest + 4:.0f}">{text}</text>')
    return parts


def _described(solid: dict[str, Points], dashed: dict[str, Points]) -> str:
    """Return what the lines show, in words."""
    parts = []
    for mix, points in solid.items():
        for count, cost in points:
            new = dict(dashed[mix])[count]
            parts.append(f"nfa, {MIXES[mix]}, {count:,.0f} actions: {cost:.2g} microseconds, {new:.2g} for flows never seen.")
    parts += [f"netifyd's engine in C++, {count:,} expressions: {cost:g} microseconds." for count, cost in CPP.items()]
    return " ".join(parts)
