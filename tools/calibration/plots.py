"""Scatter plots of what was left out of the fits: predicted against measured, one SVG a board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tools.calibration.intervals import Calibrated

SIZE, EDGE = 420, 50
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


def scatter(board: str, found: Sequence[Calibrated]) -> str:
    """The SVG of one board: a colour for each runtime; circles are float, squares integer; lines at 20 % off."""
    points = [(one, row.row.latency_ms, row.predicted) for one in found for row in one.judged]
    values = [math.log10(v) for _, x, y in points for v in (x, y)]
    low, high = math.floor(min(values)), math.ceil(max(values))
    span = max(1, high - low)

    def at(ms: float) -> float:
        return (math.log10(ms) - low) / span * SIZE

    runtimes = sorted({one.set.runtime for one in found})
    height = max(SIZE + 2 * EDGE, EDGE + 16 * len(runtimes) + 20)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE + 2 * EDGE + 190}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{EDGE}" y="20" font-size="14">{escape(board)}: networks left out of the fit</text>',
        f'<g transform="translate({EDGE},{EDGE})">',
        f'<rect width="{SIZE}" height="{SIZE}" fill="none" stroke="black"/>',
    ]
    for factor, style in ((1.0, "black"), (1.2, "#bbb"), (1 / 1.2, "#bbb")):
        shift = math.log10(factor) / span * SIZE
        x0, x1 = max(0.0, -shift), min(SIZE, SIZE - shift)
        lines.append(
            f'<line x1="{x0:.1f}" y1="{SIZE - x0 - shift:.1f}" x2="{x1:.1f}" y2="{SIZE - x1 - shift:.1f}" '
            f'stroke="{style}"/>'
        )
    for power in range(low, high + 1):
        place, label = (power - low) / span * SIZE, f"{10.0**power:g}"
        lines.append(f'<text x="{place:.0f}" y="{SIZE + 15}" text-anchor="middle">{label}</text>')
        lines.append(f'<text x="-5" y="{SIZE - place + 4:.0f}" text-anchor="end">{label}</text>')
    lines.append(f'<text x="{SIZE / 2}" y="{SIZE + 32}" text-anchor="middle">measured, ms</text>')
    lines.append(f'<text transform="translate(-35,{SIZE / 2}) rotate(-90)" text-anchor="middle">predicted, ms</text>')
    for one, measured, predicted in points:
        colour, x, y = _colour(runtimes, one.set.runtime), at(measured), SIZE - at(predicted)
        if one.set.dtype == "int8":
            lines.append(
                f'<rect x="{x - 2.5:.1f}" y="{y - 2.5:.1f}" width="5" height="5" fill="none" stroke="{colour}"/>'
            )
        else:
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}" fill-opacity="0.6"/>')
    for number, name in enumerate(runtimes):
        lines.append(
            f'<text x="{SIZE + 10}" y="{12 + 16 * number}" fill="{_colour(runtimes, name)}">{escape(name)}</text>'
        )
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _colour(runtimes: Sequence[str], name: str) -> str:
    return COLOURS[runtimes.index(name) % len(COLOURS)]
