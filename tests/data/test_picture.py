"""Ticks of a logarithmic axis can be read, whatever the range."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from edgekit.data import picture


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.031, 0.044), (0.02, 0.19), (0.02, 0.21), (9.5, 10.5), (0.9, 1.1), (95, 105), (1, 10), (3, 250), (0.002, 800),
     (0.0123, 0.0124), (5, 5), (1e-3, 1e5)],
)  # fmt: skip
@pytest.mark.parametrize("panels", [1, 3])
def test_labels_do_not_overlap(tmp_path: Path, low: float, high: float, panels: int) -> None:
    figure, axes = picture.panels(panels, 1 + 4.6 * panels, 4.2)
    for one in axes:
        one.scatter([low, (low * high) ** 0.5, high], [0, 1, 2])
        picture.log_axis(one)
    figure.canvas.draw()
    for one in axes:
        shown = [label for label in one.get_xticklabels(which="both") if label.get_text()]
        left, right = one.get_xlim()
        boxes = sorted(
            (label.get_window_extent().x0, label.get_window_extent().x1)
            for label in shown
            if left <= label.get_position()[0] <= right
        )
        assert len(boxes) >= 2, shown
        assert all(a[1] < b[0] for a, b in itertools.pairwise(boxes)), [label.get_text() for label in shown]
    picture.save(figure, tmp_path / "x.png")
