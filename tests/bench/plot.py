"""Series of points beside each other as SVG, each with the straight line that fits it best.

    python -m tests.bench.plot BENCH.json PROOF.json >docs/pictures/scale.svg

draws row `scale` of what `./run bench --json` has printed, and the length from what `./run prove endurance`, or the
media half of `./run prove soak`, has left.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, GAP = 240, 160, 40
_LETTERS = 'font-size="10" fill="#444" font-family="sans-serif"'
_APART = 14
"""Pixels between two numbers below a panel; what comes sooner has a point but no number."""
UNITS = {"minutes": "CPU seconds"}
"""What is measured, by the name of the series; others are measured in cores."""

type Series = Mapping[int, float]


def plot(series: Mapping[str, Series]) -> str:
    """Return an `<svg>` with a panel for each series: its name below, its values from 0 up."""
    panels = [
        _panel(number * (WIDTH + GAP) + GAP, name, points) for number, (name, points) in enumerate(series.items())
    ]
    across, down = len(panels) * (WIDTH + GAP) + GAP, HEIGHT + 2 * GAP
    parts = "\n".join(panels)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}">'
    return f'{head}\n<rect width="100%" height="100%" fill="#fff"/>\n{parts}\n</svg>\n'


def _panel(left: int, name: str, points: Series) -> str:
    numbers, values = np.array(list(points), float), np.array(list(points.values()), float)
    slope, at_zero = np.polyfit(numbers, values, 1)
    most, highest = numbers.max(), max(values.max(), at_zero + slope * numbers.max())

    def place(number: float, value: float) -> tuple[float, float]:
        return left + number / most * (WIDTH - GAP), GAP + HEIGHT * (1 - value / highest)

    (x0, y0), (x1, y1) = place(0, at_zero), place(most, at_zero + slope * most)
    parts = [
        f'<path d="M{left} {GAP} V{GAP + HEIGHT} H{left + WIDTH - GAP}" fill="none" stroke="#999"/>',
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#9bb8cc"/>',
        f'<text x="{left}" y="{HEIGHT + 2 * GAP - 8}" {_LETTERS}>{name}</text>',
        f'<text x="{left}" y="{GAP - 6}" {_LETTERS}>{_rounded(values.max())} {UNITS.get(name, "cores")}</text>',
    ]
    free = float(left)
    for number, value in points.items():
        x, y = place(number, value)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5b83"/>')
        if x - free >= _APART:
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT + GAP + 12}" text-anchor="middle" {_LETTERS}>{number}</text>')
            free = x
    return "\n".join(parts)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def kept(bench: Path, proof: Path) -> dict[str, Series]:
    """Return the series of a benchmark's document and of a proof's, both files of JSON."""
    series: dict[str, Series] = {}
    for name, line in json.loads(bench.read_text())["rows"]["scale"].items():
        found = {re.fullmatch(rf"{name}_(\d+)", key): value for key, value in line.items()}
        series[name] = {int(match[1]): value for match, value in found.items() if match}
    figures = json.loads(proof.read_text())
    minutes = figures.get("media", figures)["cpu_s_after_minutes"]
    return series | {"minutes": {int(number): cpu_s for number, cpu_s in minutes.items()}}


if __name__ == "__main__":
    sys.stdout.write(plot(kept(*map(Path, sys.argv[1:]))))
