"""How the values of every activation are distributed over many samples: by channel, and in the tails.

They are measured in a sandboxed child process (:func:`run_task`), portion by portion, so that no more than one
sample's activations are in memory at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.reference.anew import Anew
from edgekit.reference.litert import LIMITS, PRELOAD

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.progress import Progress

QUANTILE = 0.99
_PORTION_SECONDS = 0.5


@dataclass(frozen=True)
class Spread:
    """One float activation over the samples.

    :param low: smallest value of each channel, float32 ``[channels]``; the channels are the last axis.
    :param high: largest value of each channel.
    :param mean: mean magnitude of each channel.
    :param tail: the 99 % quantile of the magnitudes in a sample, the largest over the samples' median.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]
    tail: float

    @property
    def magnitudes(self) -> NDArray[np.float32]:
        """Largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def span(self) -> float:
        """From the smallest to the largest value, 0 included, as a quantizer needs it."""
        return max(float(self.high.max()), 0.0) - min(float(self.low.min()), 0.0)


def spreads(graph: Graph, data: Dataset, progress: Progress) -> dict[int, Spread]:
    """Measure each float activation of the main subgraph, inputs included, by its index.

    :raises ModelError: if LiteRT refuses the network.
    """
    from edgekit.data.dataset import as_network_inputs

    inputs = as_network_inputs(data, graph)
    found: dict[int, Spread] = {}
    tails: dict[int, list[float]] = {}
    with sandbox.scratch() as folder:
        model = folder / "model.tflite"
        tflite.write(graph, model)
        done, portion = 0, 4
        while done < len(data):
            began = time.monotonic()
            arrays = {f"input{i}": values[done : done + portion] for i, values in enumerate(inputs)}
            for index, part in _measured(model, arrays).items():
                tails.setdefault(index, []).extend(map(float, part["tail"]))
                low, high, total = part["low"], part["high"], part["total"]
                if (old := found.get(index)) is not None:
                    low, high, total = np.fmin(old.low, low), np.fmax(old.high, high), old.mean * done + total
                mean = (total / min(done + portion, len(data))).astype(np.float32)
                found[index] = Spread(low, high, mean, float(np.median(tails[index])))
            done = min(done + portion, len(data))
            progress.advance(done, len(data))
            portion = max(1, int(portion * min(8.0, _PORTION_SECONDS / max(time.monotonic() - began, 1e-3))))
    return found


def _measured(model: Path, arrays: dict[str, NDArray[Any]]) -> dict[int, dict[str, NDArray[Any]]]:
    """What :func:`run_task` found, by tensor."""
    try:
        _, found = sandbox.call(
            f"{__name__}:run_task", {"model": str(model)}, arrays, limits=LIMITS, preload=PRELOAD, readable=[model]
        )
    except sandbox.ChildDied as death:
        raise ModelError(f"LiteRT itself {death.reason} on this model") from death
    ends = np.cumsum(found["channels"])
    return {
        int(index): {name: found[name][end - size : end] for name in ("low", "high", "total")} | {"tail": tail}
        for index, size, end, tail in zip(found["index"], found["channels"], ends, found["tail"].T, strict=True)
    }


def run_task(
    args: dict[str, Any], arrays: dict[str, NDArray[Any]], work: Path
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Run the samples, in a child process, and return statistics of all tensors' channels, concatenated.

    These are minima, maxima, and mean magnitudes added up over the samples; tails are ``[samples, tensors]``.
    """
    from ai_edge_litert.interpreter import Interpreter

    def make() -> Any:
        interpreter = Interpreter(args["model"], num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
        return interpreter

    try:
        low, high, total, tails = _run(Anew(make), arrays)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot run the model: {' '.join(str(error).split())[-300:]}") from error
    order = sorted(low)
    empty = np.zeros(0, np.float32)
    return {}, {
        "index": np.array(order, np.int64),
        "channels": np.array([low[i].size for i in order], np.int64),
        "low": np.concatenate([empty, *(low[i] for i in order)]),
        "high": np.concatenate([empty, *(high[i] for i in order)]),
        "total": np.concatenate([empty, *(total[i] for i in order)]),
        "tail": np.array([[row[i] for i in order] for row in tails], np.float32),
    }


def _run(network: Anew, arrays: dict[str, NDArray[Any]]) -> tuple[Any, Any, Any, Any]:
    details = network.interpreter.get_input_details()
    made = {int(i) for op in network.interpreter._get_ops_details() for i in op["outputs"] if i >= 0}
    made |= {int(d["index"]) for d in details}
    every = network.interpreter.get_tensor_details()
    wanted = [d["index"] for d in every if d["index"] in made and d["dtype"] is np.float32]
    low: dict[int, Any] = {}
    high: dict[int, Any] = {}
    total: dict[int, Any] = {}
    tails: list[dict[int, float]] = []
    for number in range(len(arrays["input0"])):
        network.start()
        for position, detail in enumerate(details):
            network.interpreter.set_tensor(detail["index"], arrays[f"input{position}"][number])
        network.interpreter.invoke()
        tails.append({})
        for index in list(wanted):
            try:
                values = network.interpreter.get_tensor(index)
            except ValueError:  # no kernel filled it
                wanted.remove(index)
                continue
            if not values.size:
                wanted.remove(index)
                continue
            rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
            small, large = rows.min(axis=0), rows.max(axis=0)
            low[index] = np.fmin(low.get(index, small), small)
            high[index] = np.fmax(high.get(index, large), large)
            total[index] = total.get(index, 0) + np.abs(rows).mean(axis=0)
            tails[-1][index] = float(np.quantile(np.abs(values), QUANTILE, method="higher"))
    return low, high, total, tails
