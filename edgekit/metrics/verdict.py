"""What a proof found, as values and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from edgekit.metrics.decision import DecisionParity
from edgekit.metrics.differences import Difference

NOTHING = "the network itself makes NaN on every sample, so there is nothing to compare"
"""The reason of a verdict on an output without any number."""


@dataclass
class OperatorParity:
    """One operator in isolation, fed with the reference's values.

    :param reason: why it is not ok, where more can be said than how far it is off.
    """

    index: int
    op: str
    name: str
    max_lsb: int | None
    max_relative: float
    ok: bool
    reason: str = ""


@dataclass
class Parity:
    """The verdict. ``rule`` says as text what had to hold; ``by`` says what decided: ``network`` or ``operators``.

    :param unlike: how the outputs do not follow the reference at all; empty where they do.
    :param reason: why nothing could be compared (``NOTHING``), or operators could not be judged one by one.
    :param classifier: the network chooses among classes, so that ``top1_flips`` counts labels.
    :param ok: None: nothing is wrong with what could be executed, but not all of it could.
    :param not_executed: indices of the operators that nothing here executes. :param checked: what was checked of them.
    :param decision: what was found of the way from pictures to decisions; None of a bundle without a task, or without
        pictures.
    """

    ok: bool | None
    max_abs_lsb: int | None
    max_abs: float
    max_relative: float
    top1_flips: int
    samples: int
    rule: str
    by: str = "network"
    on: str = ""
    outputs: list[Difference] = field(default_factory=list)
    operators: list[OperatorParity] = field(default_factory=list)
    unlike: str = ""
    reason: str = ""
    classifier: bool = False
    not_executed: tuple[int, ...] = ()
    checked: str = ""
    decision: DecisionParity | None = None

    @property
    def failed(self) -> bool:
        """True if the network's outputs are wrong, or a decision is."""
        return self.ok is False or (self.decision is not None and self.decision.ok is False)

    @property
    def verdict(self) -> str:
        """One word or two: ``ok``, ``FAILED``, or ``not executed``."""
        return "FAILED" if self.failed else "not executed" if self.ok is None else "ok"

    def json(self) -> dict[str, Any]:
        """Return the field ``parity`` of JSON and manifest."""
        return asdict(self)

    def words(self) -> str:
        """Summarize the verdict in a few words."""
        if self.failed and self.ok is not False and self.decision is not None:
            return self.decision.words()
        return self.of_network()

    def distance(self) -> str:
        """How far the outputs are off at most."""
        return distance(self.max_abs_lsb, self.max_relative)

    def of_network(self) -> str:
        """Summarize what was found of the network, between its inputs and its outputs."""
        if self.reason == NOTHING or (self.reason and self.ok is False and self.by == "structure"):
            return self.reason
        whole = self.distance()
        whole += f", {self.top1_flips} of {self.samples} labels differ" if self.classifier else ""
        bad = [row for row in self.operators if not row.ok]
        if bad:
            first = bad[0]
            off = first.reason or f"is off by {distance(first.max_lsb, first.max_relative)}"
            return f"operator {first.index} {first.op} ({short_name(first.name)}) {off}"
        if self.not_executed:
            others = f"; {len(self.operators)} on the core equal the reference's" if self.operators else ""
            return f"nothing here executes {len(self.not_executed)} operators, those of the NPU; {self.checked}{others}"
        if self.by == "network":
            unlike = f"; {self.unlike}" if self.unlike else ""
            reason = f"; {self.reason}" if self.reason else ""
            return f"outputs within {whole}" if self.ok else f"outputs are off by {whole}{unlike}{reason}"
        operators = f"each of {len(self.operators)} operators within its bound"
        if not self.ok:
            return f"{operators}, but the outputs do not follow the reference: {self.unlike}"
        return f"{operators}; accumulated along the network: {whole}"


def distance(lsb: int | None, relative: float) -> str:
    """How far something is off, in words: in integer steps where there are any."""
    return f"{relative:.2g} relative" if lsb is None else f"{lsb} LSB"


def short_name(name: str) -> str:
    """A tensor's name in at most 40 characters, the first of several that were joined."""
    name = name.split(";")[0]
    return name if len(name) <= 40 else f"...{name[-37:]}"
