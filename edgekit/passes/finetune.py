"""Fine-tuning: further training of the network on labelled samples, whatever file it came from.

The Graph itself is trained (:mod:`edgekit.training.trainable`), in a child process with TensorFlow: Adam (Kingma & Ba,
ICLR 2015) with a cosine schedule on the labels' cross-entropy. After ``prune`` or ``low_rank`` it wins accuracy back;
zeros that ``sparsify`` made stay zero.
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgekit import dataset, sandbox
from edgekit.errors import ModelError, ToolMissing, UsageError
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext
from edgekit.passes.float32 import refuse_integer, restore
from edgekit.training.trainable import check

LIMITS = sandbox.Limits(seconds=6 * 3600, memory_mb=8192)
VALIDATION_SHARE = 0.1
"""Of the samples, held back to say whether training helped."""


@dataclass(frozen=True)
class Settings:
    """The pass's parameters."""

    epochs: int = 3
    learning_rate: float = 5e-4
    batch: int = 32
    keep_zeros: bool = True


class Finetune:
    """The pass ``finetune``; its parameters are those of :class:`Settings`."""

    name = "finetune"

    def apply(self, graph: Graph, context: PassContext) -> Graph:
        """Return the trained Graph; deterministic for a seed.

        :raises UsageError: on wrong parameters, or without labels.
        :raises ModelError: if the Graph is quantized, no classifier, has an operator that cannot be trained, or
            training diverges. :raises ToolMissing: without TensorFlow.
        """
        settings = _settings(context.params)
        refuse_integer(graph, "trained")
        graph, _ = restore(graph)
        data = context.data
        if data is None or data.labels is None:
            raise UsageError("fine-tuning needs labelled samples", "give --data FILE.npz with x and y")
        if len(graph.inputs) != 1 or len(graph.outputs) != 1 or dataset.classes(graph) is None:
            raise ModelError("fine-tuning needs a classifier with one input and one output")
        check(graph)
        if importlib.util.find_spec("tensorflow") is None:
            raise ToolMissing(
                "training needs TensorFlow, which is not installed", "install it: pip install 'edgekit[train]'"
            )
        arrays = _arrays(graph, data, context.seed)
        context.progress.step(f"fine-tune: {settings.epochs} epochs on {len(arrays['x'])} samples")
        last = next(o for o in reversed(graph.operators) if graph.main.outputs[0] in o.outputs)
        args = {**asdict(settings), "seed": context.seed, "probabilities": last.op == "SOFTMAX"}
        try:
            found, made = sandbox.call("edgekit.training.finetune_child:train", args, arrays, limits=LIMITS)
        except sandbox.ChildDied as death:
            raise ModelError(f"training {death.reason}", "use fewer samples or epochs") from death
        context.report |= {"samples": len(arrays["x"]), "validation_samples": len(arrays["vx"]), **found}
        return tflite.loads(made["graph"].tobytes())


def _settings(params: dict[str, Any]) -> Settings:
    known = {"epochs": int, "learning_rate": float, "batch": int, "keep_zeros": bool}
    for name, value in params.items():
        if name not in known:
            raise UsageError(f"the pass finetune knows no parameter {name!r}", "it has " + ", ".join(known))
        right = isinstance(value, int | float) if known[name] is float else isinstance(value, known[name])
        if not right or (known[name] is not bool and (isinstance(value, bool) or value <= 0)):
            raise UsageError(f"finetune: {name} cannot be {value!r}")
    return Settings(**params)


def _arrays(graph: Graph, data: dataset.Dataset, seed: int) -> dict[str, Any]:
    """The Graph's bytes, and the samples in two parts; the network's own batch dimension of 1 is taken off."""
    assert data.labels is not None
    x = dataset.as_network_inputs(data, graph)[0][:, 0]
    order = np.random.default_rng(seed).permutation(len(x))
    held = int(VALIDATION_SHARE * len(x))
    if len(np.unique(data.labels)) < 2:
        raise UsageError("all samples have the same label: there is nothing to learn", "give samples of every class")
    first, rest = order[:held], order[held:]
    return {
        "graph": np.frombuffer(tflite.dumps(graph), np.uint8),
        "x": x[rest], "y": data.labels[rest], "vx": x[first], "vy": data.labels[first],
    }  # fmt: skip
