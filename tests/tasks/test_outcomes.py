"""What was decided: when two decisions come to the same, and the lines that the C runner writes of them."""

from __future__ import annotations

import pytest

from edgekit.tasks.detection import Detection
from edgekit.tasks.detector import Detections
from edgekit.tasks.embedder import Neighbour, Neighbours
from edgekit.tasks.parts import Line


def box(number: int, left: float, right: float) -> Detection:
    return Detection(number, "a", 0.5, left, 0.0, right, 10.0)


FIRST = box(1, 0, 12)


@pytest.mark.parametrize(
    ("others", "same"),
    [
        ([box(1, 0, 12)], True),
        ([box(1, 0, 6)], True),  # they overlap by a half
        ([box(1, 0, 5.9)], False),
        ([box(2, 0, 12)], False),  # of another class
        ([], False),
        ([box(1, 0, 12), box(1, 0, 12)], False),  # one more
        ([box(1, 20, 30), box(1, 0, 11)], False),
    ],
)
def test_boxes_that_come_to_the_same(others: list[Detection], same: bool) -> None:
    assert Detections((FIRST,)).agrees(Detections(tuple(others))) == same
    assert Detections(tuple(others)).agrees(Detections((FIRST,))) == same


def test_each_box_has_one_of_its_own() -> None:
    """Two boxes near one: the nearest is taken, and is not there for the second."""
    near, far = box(1, 0, 11), box(1, 1, 14)
    assert Detections((FIRST, far)).agrees(Detections((far, near)))
    assert not Detections((FIRST, near)).agrees(Detections((near, box(1, 12, 30))))


def test_lines() -> None:
    found = Neighbours((Neighbour(3, "eve", 0.75, True), Neighbour(0, "ann", 0.5, False)), (0.6, -0.8))
    assert found.lines() == [
        Line(3, "eve", (0.75, 1.0)), Line(0, "ann", (0.5, 0.0)), Line(0, "vector", (0.6,)), Line(1, "vector", (-0.8,)),
    ]  # fmt: skip
    assert Detections((FIRST,)).lines() == [Line(1, "a", (0.5, 0.0, 0.0, 12.0, 10.0))]
