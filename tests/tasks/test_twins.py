"""Which parts of a plug-in's kind of task the C library runs: those that are exactly edgekit's own."""

from __future__ import annotations

import pytest

from edgekit.tasks.classifier import Classifier
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.parts import Decider, Source
from edgekit.tasks.picture import Colors, Fit, Picture
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Code, Column, Row
from edgekit.tasks.twins import Twins

ROW = Row((Column("a", Code.NUMBER),))
FORM = (Fit.STRETCH, Colors.GREY, (1.0,), (0.0,))


class Darker(Picture):
    """Does something else than the C library's."""


class Sure(Classifier):
    """Decides otherwise."""


@pytest.mark.parametrize(
    ("source", "decider", "expected"),
    [
        (Picture(*FORM), Classifier(), Twins("picture", "classification")),
        (ROW, Regressor(), Twins("row", "regression")),
        (Picture(*FORM), Embedder(), Twins("picture", "embedding")),
        (Picture(*FORM), Sure(), Twins("picture")),
        (Darker(*FORM), Classifier(), Twins()),
    ],
)
def test_twins_are_edgekits_own_classes(source: Source, decider: Decider, expected: Twins) -> None:
    assert Twins.of(source, decider) == expected
    assert expected.json() == {"source": expected.source, "decider": expected.decider}
