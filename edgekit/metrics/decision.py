"""Compares what the C library makes of source material with the reference: the network's input, and the decision.

Both must be equal in every bit: they are the same arithmetic in the same order. Between them lies the network, whose
outputs :mod:`edgekit.metrics.parity` judges: the decision is compared with what the reference makes of the artifact's
own outputs. How often that is what the reference network's outputs lead to is counted
(:mod:`edgekit.metrics.agreement`), and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.material import Failed, Made, same, size_of
from edgekit.data.sources import Refused, network_inputs
from edgekit.metrics.agreement import agreeing
from edgekit.tasks.decisions import decide
from edgekit.tasks.parts import Line, Outcome, Sample

if TYPE_CHECKING:
    from edgekit.bundle.material import Material
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task


@dataclass(frozen=True)
class DecisionParity:
    """The verdict on the way from source material to decision.

    :param ok: None: nothing is wrong, but the C library was not executed; ``reason`` says why.
    :param samples: how many of ``what``. :param agree: on which the artifact decides as the reference network does.
    :param reason: what differs, if it is not ok. :param decider: the plug-in whose decider was executed on this
        machine, as the C library has none such.
    """

    ok: bool | None
    samples: int
    agree: int | None = None
    reason: str = ""
    what: str = "picture"
    decider: str = ""

    def words(self) -> str:
        """Summarize the verdict in one line."""
        if self.ok is None:
            return f"from {self.what} to decision: not executed, {self.reason}"
        if not self.ok:
            return self.reason
        if self.decider:
            return (
                f"{self.samples} {self.what}s to the network's input, each bit as the reference; {self.decider} "
                f"decides here: {self.agree} of {self.samples} as on the reference network's outputs"
            )
        return (
            f"{self.samples} {self.what}s to decisions, each bit as the reference; "
            f"{self.agree} of {self.samples} decided as the reference network does"
        )


def refused(task: Task, graph: Graph, material: Material) -> DecisionParity | None:
    """The verdict if the task refuses some of the material, which the C library would refuse, too; else None."""
    what = task.source.NAME
    for number, thing in enumerate(material.things):
        try:
            network_inputs(task.source, thing, graph)
        except Refused as error:
            reason = f"{what} {number}: the task refuses it: {error}"
            return DecisionParity(False, len(material.rows), reason=reason, what=what)
    return None


def judge(
    task: Task, graph: Graph, material: Material | None, golden: tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
    made: Made | Failed | None, absent: str = "",
) -> DecisionParity:  # fmt: skip
    """Judge what was made of the material, none of which is ``refused``.

    :param material: None where the bundle keeps none. :param golden: the bundle's inputs and reference outputs.
    :param made: None where nothing executes the C library; ``absent`` says why. If it failed, it was on what the
        reference takes.
    """
    what = task.source.NAME
    if material is None:
        return DecisionParity(None, 0, reason=absent, what=what)
    here = task.plugin if not task.twins.decider else ""
    count, decided = len(material.rows), list[tuple[Outcome, Outcome]]()
    for number, (row, thing) in enumerate(zip(material.rows, material.things, strict=True)):
        inputs, name = network_inputs(task.source, thing, graph), f"{what} {number}"
        sample = Sample(str(row), inputs, size_of(thing))
        reference = decide(task, sample, [each[row] for each in golden[1]], graph)
        wrong = _inputs(inputs, [each[row] for each in golden[0]], "the task makes", "golden.npz has", name)
        if not wrong and not same(reference.json(), material.decisions[number]):
            wrong = f"{name}: the task decides otherwise on the reference's outputs than when it was compiled"
        if not wrong and isinstance(made, Made):
            wrong = _inputs([each[number] for each in made.inputs], inputs, "the C library makes", "it should be", name)
            own = decide(task, sample, [each[number] for each in made.outputs], graph).outcome
            wrong = wrong or _lines(made.lines[number], [] if here else own.lines(), name)
            decided.append((reference.outcome, own))
        if wrong:
            return DecisionParity(False, count, reason=wrong, what=what)
    if isinstance(made, Failed):
        return DecisionParity(False, count, reason=f"{what}s: the C library fails: {made.reason}", what=what)
    if made is None:
        return DecisionParity(None, count, reason=absent, what=what)
    agree = agreeing(task, graph, [expected for expected, _ in decided], [own for _, own in decided])
    return DecisionParity(True, count, agree, what=what, decider=here)


def _inputs(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], who: str, instead: str, name: str) -> str:
    """What differs between two inputs of the network, in words; empty if nothing does."""
    for ours, theirs in zip(found, expected, strict=True):
        off = np.ascontiguousarray(ours).view(np.uint8) != np.ascontiguousarray(theirs).view(np.uint8)
        off = off.reshape(*ours.shape, ours.itemsize).any(axis=-1)
        if off.any():
            at = tuple(int(i) for i in np.argwhere(off)[0])
            return (
                f"{name}: {who} another input: {off.sum()} of {off.size} values differ, the first at "
                f"{list(at)}: {ours[at]:g}, {instead} {theirs[at]:g}"
            )
    return ""


def _lines(found: Sequence[Line], expected: Sequence[Line], name: str) -> str:
    """What differs between two decisions, in words; empty if nothing does."""
    if len(found) != len(expected):
        return f"{name}: the C library decides on {len(found)}, the reference on {len(expected)}"
    for at, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        if repr(ours) != repr(theirs):  # equal bits, and NaN is NaN
            return f"{name}: the C library's decision {at} is {_words(ours)}, it should be {_words(theirs)}"
    return ""


def _words(line: Line) -> str:
    return f"{line.number} {line.label!r} {' '.join(f'{value:.9g}' for value in line.values)}"
