"""Execute a bundle on golden or given inputs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import bundle as bundles
from edgekit.api.verify import default_runner
from edgekit.data import dataset, drawing
from edgekit.data.spec import parsed
from edgekit.errors import DeviceError, UsageError
from edgekit.files import temporary
from edgekit.metrics.tasks import gauge
from edgekit.metrics.tasks.gauge import Reached
from edgekit.progress import Progress, Silent
from edgekit.runners import OpenOptions, Run, RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.tasks.decisions import Decision, decide, of_recordings
from edgekit.tasks.detector import Detections, Detector
from edgekit.tasks.parts import Outcome, Sample
from edgekit.tasks.segmenter import Mask, Segmenter
from edgekit.text.system import explained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.graph import Graph


@dataclass
class RunResult:
    """Outputs of every sample, the labels they mean, and how long one inference took (None in an emulator).

    :param index: where each sample stands in the data; None for the golden ones.
    :param decisions: in the task's terms; None if the bundle has no task.
    :param metric: the task's own, if it is not accuracy and the data says what is right.
    """

    run: Run
    on: str
    outputs: list[dict[str, Any]]
    samples: int
    top1: list[int] | None
    accuracy: float | None
    latency_ms: float | None
    index: list[int] | None = None
    decisions: list[Decision] | None = None
    metric: Reached | None = None

    def json(self) -> dict[str, Any]:
        """Return the document of ``edgekit run --json``."""
        return {
            "schema": 1,
            "on": self.on,
            "runtime": self.run.trace.runtime,
            "conditions": self.run.conditions,
            "samples": self.samples,
            "index": self.index,
            "outputs": self.outputs,
            "top1": self.top1,
            "accuracy": self.accuracy,
            "metric": None if self.metric is None else self.metric.json(),
            "latency_ms": self.latency_ms,
            "decisions": None if self.decisions is None else [decision.json() for decision in self.decisions],
        }


def run(
    path: str | Path,
    *,
    on: str | None = None,
    data: str | None = None,
    save: str | Path | None = None,
    decisions: str | Path | None = None,
    draw: str | Path | None = None,
    limit: int | None = None,
    repeat: int = 1,
    threads: int = 1,
    seed: int = 0,
    progress: Progress = Silent(),
) -> RunResult:
    """Run a bundle.

    :param data: inputs (docs/data.md); default: the bundle's golden inputs.
    :param save: write the outputs there, as ``output0``, ``output1``... in an ``.npz``; with ``output0_scale`` and
        ``output0_zero_point`` where an output is quantized, and ``index``: where each sample stands in ``data``.
    :param decisions: write a line of JSON there for each sample: its entry in ``RunResult.decisions``.
    :param draw: a folder for the pictures of ``data`` with the boxes that were found in them, or their masks.
    :param limit: use at most this many samples of ``data``, drawn with ``seed``, in the data's order.
    """
    with bundles.opened(Path(path)) as bundle:
        if decisions is not None and bundle.task is None:
            raise UsageError(
                "the bundle has no task, so it decides nothing", "compile the model with a task.toml (docs/tasks.md)"
            )
        if draw is not None:
            _can_draw(bundle, data, Path(draw))
        samples = None
        labels: NDArray[np.int64] | None = None
        index: NDArray[np.int64] | None = None
        if data is None:
            inputs, _ = bundle.golden()
        else:
            samples = dataset.load(data, bundle.graph, seed=seed, limit=limit, task=bundle.task, progress=progress)
            inputs, labels = dataset.as_network_inputs(samples, bundle.graph), samples.labels
            index = np.arange(len(samples)) if samples.index is None else samples.index
            if limit is not None and not np.array_equal(index, np.arange(len(index))):
                progress.note(f"--limit: {len(index)} samples drawn with --seed {seed}, in the data's order")
        on = on or default_runner(bundle)
        progress.step(f"run on {on}")
        result = once(get_runner(on), bundle, inputs, RunOptions(repeat, threads=threads), OpenOptions(progress))
        if result.partial is not None:
            raise DeviceError(
                f"nothing here executes {len(result.partial.not_executed)} of its operators, those of the NPU",
                "run it on the board, as artifact/DEPLOY.md says, or compile the model with --target host",
            )
        outputs = [tensor.json() for tensor in bundle.graph.outputs]
        scales = _scales(bundle.graph)
        decided = _decisions(bundle, inputs, result, samples, index)
        reached = None if samples is None else gauge.reached(bundle.task, bundle.graph, result.outputs, samples, seed)
    if save is not None:
        _save(Path(save), result.outputs, scales if index is None else {**scales, "index": index})
    if draw is not None and samples is not None and samples.files is not None:
        _draw(samples.files.tolist(), decided or [], Path(draw), progress)
    if decisions is not None:
        _write_lines(Path(decisions), decided or [])
    first = result.outputs[0].reshape(len(result.outputs[0]), -1)
    top1 = [int(i) for i in first.argmax(axis=1)] if first.shape[1] > 1 else None
    accuracy = float(np.mean(np.array(top1) == labels)) if top1 is not None and labels is not None else None
    times = result.trace.latency_ms
    return RunResult(
        result, on, outputs, len(first), top1, accuracy, statistics.median(times) if times else None,
        None if index is None else index.tolist(), decided, reached,
    )  # fmt: skip


def _decisions(
    bundle: bundles.Bundle, inputs: list[NDArray[Any]], run: Run, samples: dataset.Dataset | None,
    index: NDArray[np.int64] | None,
) -> list[Decision] | None:  # fmt: skip
    if bundle.task is None:
        return None
    count = len(run.outputs[0])
    numbers = range(count) if index is None else index.tolist()
    names = [str(n) for n in numbers] if samples is None or samples.names is None else samples.names.tolist()
    sizes = [None] * count if samples is None or samples.sizes is None else samples.sizes.tolist()
    made = []
    for row, (name, size) in enumerate(zip(names, sizes, strict=True)):
        sample = Sample(name, [each[row] for each in inputs], size and (size[0], size[1]))
        made.append(decide(bundle.task, sample, [each[row] for each in run.outputs], bundle.graph))
    if samples is not None and samples.recordings is not None:
        return of_recordings(bundle.task, made, samples.recordings.tolist())
    return made


def _can_draw(bundle: bundles.Bundle, data: str | None, folder: Path) -> None:
    """Refuse to draw, before anything runs."""
    if bundle.task is None or not isinstance(bundle.task.decider, Detector | Segmenter):
        raise UsageError("--draw shows boxes or masks, but the bundle's task has none", "omit it")
    if data is None or not dataset.holds_pictures(parsed(data)[0]):
        raise UsageError("--draw needs pictures to draw on", "pass --data with a folder of them")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--draw {folder}: there is something already", "name a new folder")


def _scales(graph: Graph) -> dict[str, NDArray[Any]]:
    """Scale and zero point of each quantized output: real value = scale * (output - zero point)."""
    found: dict[str, NDArray[Any]] = {}
    for number, tensor in enumerate(graph.outputs):
        if tensor.quantization is not None and tensor.has_scale:
            found[f"output{number}_scale"] = np.asarray(tensor.quantization.scale)
            found[f"output{number}_zero_point"] = np.asarray(tensor.quantization.zero_point)
    return found


def _write_lines(path: Path, decided: list[Decision]) -> None:
    try:
        with temporary.replacing(path) as file:
            file.write_text("".join(decision.line() for decision in decided))
    except OSError as error:
        raise explained(error, path.parent, "--decisions") from error


def _draw(files: list[Path], decided: list[Decision], folder: Path, progress: Progress) -> None:
    """Write each picture with what was found in it, as PNG; the folder appears when all are written."""
    progress.step(f"drawing on {len(files)} pictures")
    try:
        with temporary.folder(folder.resolve().parent) as place:
            made = place / "pictures"
            made.mkdir()
            for number, (file, decision) in enumerate(zip(files, decided, strict=True), 1):
                to = (made / decision.sample).with_suffix(".png")
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(_drawn(file, decision.outcome))
                progress.advance(number, len(files))
            if folder.is_dir():
                folder.rmdir()
            made.replace(folder)
            folder.chmod(0o755)
    except OSError as error:
        raise explained(error, folder.parent, "--draw") from error


def _drawn(file: Path, outcome: Outcome) -> bytes:
    if isinstance(outcome, Mask):
        return drawing.drawn(file, [], outcome.pixels)
    assert isinstance(outcome, Detections)
    return drawing.drawn(file, [drawing.Mark.of(one) for one in outcome.detections])


def _save(path: Path, outputs: list[NDArray[Any]], also: dict[str, NDArray[Any]]) -> None:
    target = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    named = {**{f"output{i}": a for i, a in enumerate(outputs)}, **also}
    try:
        with temporary.replacing(target) as file:
            np.savez_compressed(file, allow_pickle=False, **named)
    except OSError as error:
        raise explained(error, target.parent, "--save") from error
