"""The search space: the available passes, their order in a recipe, and the ranges of their parameters.

A recipe is built in the order of :data:`SHARES`, :data:`TRAINING`, :data:`ARITHMETIC`. To let the search use another
pass, add a row here; a row whose pass is not installed is left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgekit.passes.recipe import Step

if TYPE_CHECKING:
    from optuna import Trial

Params = Mapping[str, float | str]
TARGET = "the target"
"""Placeholder for the name of the board that is searched for."""


@dataclass(frozen=True)
class Share:
    """A pass with one parameter between ``low`` and ``high``; at ``off`` the pass is left out.

    :param label: how a recipe's name calls it; the parameter in percent follows.
    :param needs: ``packed`` where it only helps the packed size.
    """

    name: str
    parameter: str
    label: str
    low: float
    high: float
    off: float
    needs: str = ""

    step = 0.05

    def steps(self, value: float) -> tuple[Step, ...]:
        """Return the pass with this value; no pass if the value turns it off."""
        value = round(value, 2)
        return () if value == self.off else (Step(self.name, {self.parameter: value}),)


@dataclass(frozen=True)
class Option:
    """One choice for a stage: the steps that it adds; none for the label that leaves the stage out."""

    label: str
    steps: tuple[Step, ...] = ()
    needs: str = ""

    def on(self, target: str) -> Option:
        """The option for a board."""
        return replace(self, steps=tuple(_with_target(step, target) for step in self.steps))


SHARES = (
    Share("prune", "macs", "macs", 0.1, 1.0, off=1.0),
    Share("low_rank", "parameters", "rank", 0.1, 1.0, off=1.0),
    Share("sparsify", "sparsity", "zeros", 0.0, 0.9, off=0.0, needs="packed"),
)
TRAINING = (
    Option("untrained"),
    Option("tune2", (Step("finetune", {"epochs": 2}),), "train"),
    Option("tune6", (Step("finetune", {"epochs": 6}),), "train"),
    Option("distil3", (Step("distil", {"epochs": 3}),), "train"),
)
ARITHMETIC = (
    Option("float32"),
    Option("float16", (Step("quantize", {"weights": "float16", "activations": "float"}),)),
    Option("int8-dynamic", (Step("quantize", {"weights": "int8", "activations": "float"}),)),
    Option("int8", (Step("quantize", {"weights": "int8", "activations": "int8"}),)),
    Option("int4", (Step("quantize", {"weights": "int4", "activations": "int8"}),)),
    Option("int8-w-int16-a", (Step("quantize", {"weights": "int8", "activations": "int16"}),)),
    Option("mixed", (Step("mixed_precision", {"max_drop": 0.5, "target": TARGET}),)),
    Option("qat8", (Step("qat", {"weights": "int8", "epochs": 2}),), "train"),
    Option("qat4", (Step("qat", {"weights": "int4", "epochs": 3}),), "train"),
)
STAGES = {"training": TRAINING, "arithmetic": ARITHMETIC}


@dataclass(frozen=True)
class Space:
    """All recipes the search may try."""

    shares: tuple[Share, ...]
    stages: Mapping[str, tuple[Option, ...]]

    def suggest(self, trial: Trial) -> Params:
        """Let the sampler choose every parameter."""
        params: dict[str, float | str] = {}
        for share in self.shares:
            params[share.name] = trial.suggest_float(share.name, share.low, share.high, step=share.step)
        for stage, options in self.stages.items():
            params[stage] = trial.suggest_categorical(stage, [option.label for option in options])
        return params

    def steps(self, params: Params) -> tuple[Step, ...]:
        """Return the recipe that the parameters describe."""
        steps: tuple[Step, ...] = ()
        for share in self.shares:
            steps += share.steps(float(params[share.name]))
        for stage, options in self.stages.items():
            steps += next(option.steps for option in options if option.label == params[stage])
        return steps

    def starts(self) -> list[dict[str, float | str]]:
        """Return the recipes to try first: every arithmetic alone, then a few combinations that usually work."""
        nothing: dict[str, float | str] = {share.name: share.off for share in self.shares}
        nothing |= {stage: options[0].label for stage, options in self.stages.items()}
        rows = [nothing | {"arithmetic": option.label} for option in self.stages["arithmetic"]]
        mixtures: tuple[dict[str, float | str], ...] = (
            {"prune": 0.5},
            {"low_rank": 0.5},
            {"prune": 0.7, "low_rank": 0.7},
            {"prune": 0.4, "low_rank": 0.5},
        )
        known = {share.name for share in self.shares}
        best = "int8" if any(option.label == "int8" for option in self.stages["arithmetic"]) else "float32"
        return rows + [nothing | {"arithmetic": best} | mixture for mixture in mixtures if mixture.keys() <= known]

    def json(self) -> list[Any]:
        """Return the space as plain data, so that a search is continued only in the space it began in."""
        return [
            *([s.name, s.parameter, s.low, s.high, s.step] for s in self.shares),
            *([stage, [[o.label, plain(o.steps)] for o in options]] for stage, options in self.stages.items()),
        ]


def space(installed: Collection[str], target: str, *, train: bool, packed: bool) -> Space:
    """Return what can be searched for a board with the passes that are ``installed``.

    :param train: passes that train are wanted, and can.
    :param packed: the packed size counts, so that zeros help.
    """
    met = {"", *(["train"] if train else []), *(["packed"] if packed else [])}
    return Space(
        tuple(share for share in SHARES if share.name in installed and share.needs in met),
        {
            stage: tuple(
                o.on(target) for o in options if o.needs in met and all(step.name in installed for step in o.steps)
            )
            for stage, options in STAGES.items()
        },
    )


def name(steps: Sequence[Step]) -> str:
    """Return a recipe's name: ``macs50-rank70-int8``; ``as-is`` without steps."""
    labels = []
    for step in steps:
        share = next((s for s in SHARES if s.name == step.name), None)
        if share is not None:
            labels.append(f"{share.label}{round(100 * float(step.params[share.parameter]))}")
        else:
            options = [o for stage in STAGES.values() for o in stage]
            labels.append(next(o.label for o in options if o.steps == (_with_target(step, TARGET),)))
    return "-".join(labels) or "as-is"


def _with_target(step: Step, target: str) -> Step:
    return replace(step, params=step.params | {"target": target}) if "target" in step.params else step


def plain(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return steps as JSON has them: each the pass's ``name`` and its parameters."""
    return [{"name": step.name, **step.params} for step in steps]


def key(steps: Sequence[Step]) -> str:
    """Return the same text for the same steps."""
    return json.dumps(plain(steps), sort_keys=True)
