"""Model in, one proven bundle per target out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgekit
from edgekit import bundle as bundles
from edgekit import dataset, plugins, recipe, sandbox, target
from edgekit.api.load import digest, reader_for
from edgekit.api.prove import prove
from edgekit.backends import Artifact, Backend
from edgekit.bundle_readme import readme
from edgekit.errors import CheckFailed, ModelError, ToolMissing, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.stats import statistics
from edgekit.parity import Parity
from edgekit.passes import PassContext
from edgekit.profiling.roofline import Roofline
from edgekit.progress import Progress, Silent
from edgekit.readers import ReadOptions
from edgekit.runners import RunOptions
from edgekit.runners import get as get_runner
from edgekit.runners.reference import PRELOAD, reference_outputs
from edgekit.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.dataset import Dataset

GOLDEN_MOST, GOLDEN_LEAST = 16, 2
SIMILAR = 0.95
"""Below this cosine similarity of the outputs, a quantized network is suspect, and the user is warned."""
GOLDEN_MACS = 400_000_000
"""Golden samples are as many as fit in this many MACs, so that proving in an emulator takes seconds."""


@dataclass(frozen=True)
class Compiled:
    """One bundle that was made. ``json()`` is its entry in the document of ``edgekit compile --json``."""

    target: str
    path: Path
    backend: str
    recipe: str
    manifest: dict[str, Any]
    accuracy: dict[str, Any] | None
    parity: Parity
    notes: list[str]
    passes: list[dict[str, Any]]
    quantization: dict[str, Any] | None
    estimate: dict[str, Any]
    seconds: float

    def json(self) -> dict[str, Any]:
        files = [{"path": name, **entry} for name, entry in self.manifest["files"].items()]
        return {
            "target": self.target,
            "path": str(self.path),
            "backend": self.backend,
            "recipe": self.recipe,
            "artifact": {"files": [f for f in files if f["path"].startswith(("artifact/", "model.tflite"))]},
            "accuracy": self.accuracy,
            "parity": self.parity.json(),
            "notes": self.notes,
            "passes": self.passes,
            "quantization": self.quantization,
            "estimate": self.estimate,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class _Job:
    """Everything the targets share: the transformed Graph, its golden data, what the passes said."""

    name: str
    model: dict[str, Any]
    recipe: recipe.Recipe
    graph: Graph
    data: bytes
    golden: tuple[list[NDArray[Any]], list[NDArray[Any]]]
    seed: int
    accuracy: dict[str, Any] | None = None
    passes: list[dict[str, Any]] = field(default_factory=list)
    quantization: dict[str, Any] | None = None


def compile(
    model: str | Path,
    *,
    targets: Sequence[str],
    recipe: str = "as-is",
    data: str | None = None,
    test: str | None = None,
    backend: str = "auto",
    out: str | Path = "build",
    seed: int = 0,
    workers: str = "1",
    changes: Sequence[str] = (),
    trust: bool = False,
    pack: bool = False,
    progress: Progress = Silent(),
) -> list[Compiled]:
    """Compile a model for one or more targets.

    :param data: samples for calibration: an ``.npz``, a folder of images, or ``random`` (docs/data.md).
    :param test: labelled samples for the accuracy; default: ``data``, where it has labels.
    :param out: folder for the bundles, ``<model>.<recipe>.<target>`` each.
    :param workers: how many processes train, where a pass trains.
    :param changes: parameters of the recipe's passes that differ, ``"PASS.PARAMETER=VALUE"`` each.
    :param pack: also write each bundle as one ``.edgekit`` file.
    :returns: one :class:`Compiled` per target, in the order given.
    :raises EdgekitError: a subclass says what went wrong; no bundle is left half-written.
    """
    sandbox.warm(PRELOAD)
    boards = [target.load(name) for name in dict.fromkeys(targets)]
    if not boards:
        raise UsageError("no target given", "name one with --target; `edgekit targets` lists them")
    plan = _recipe(recipe, changes, data)
    for board in boards:
        _known_backend(backend, board)
    folder = _writable(Path(out))
    job = _prepare(Path(model), plan, data, test, seed, workers, trust, progress)
    chosen = [_backend(backend, job.graph, board) for board in boards]
    with ThreadPoolExecutor(max_workers=min(len(boards), 4)) as pool:
        futures = [pool.submit(_build, job, b, c, folder, pack, progress) for b, c in zip(boards, chosen, strict=True)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            sandbox.stop_all()
            raise


def _recipe(name: str, changes: Sequence[str], data: str | None) -> recipe.Recipe:
    plan = recipe.changed(recipe.load(name), changes)
    if plan.needs_data and data is None:
        raise UsageError(
            f"the recipe {plan.name!r} needs data to calibrate on",
            "give --data FILE.npz, a folder of images, or --data random to try it without",
        )
    return plan


def _known_backend(name: str, board: Target) -> None:
    if name == "auto":
        return
    plugins.get("backends", name)
    if name not in board.backends:
        raise UsageError(f"the backend {name!r} does not serve {board.name}", "it has: " + ", ".join(board.backends))


def _writable(folder: Path) -> Path:
    """Create the output folder now, so that a wrong one is refused before any work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".edgekit-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", "choose another --out") from error
    return folder


def _prepare(
    path: Path,
    plan: recipe.Recipe,
    data: str | None,
    test: str | None,
    seed: int,
    workers: str,
    trust: bool,
    progress: Progress,
) -> _Job:
    """Read, transform, and compute the golden outputs."""
    progress.step(f"read {path.name}")
    reader = reader_for(path)
    source = reader.read(path, ReadOptions(trust=trust, progress=progress))
    for note in source.notes:
        progress.note(note)
    samples = dataset.load(data, source, seed=seed, progress=progress) if data else None
    tests = dataset.load(test, source, seed=seed, progress=progress) if test else samples
    _bounds_can_be_checked(plan, tests)
    context = PassContext(data=samples, seed=seed, source=source, workers=workers, progress=progress)
    graph, reports = transform(source, plan, context)
    model = {"name": path.name, "format": reader.name, "sha256": digest(path)}
    progress.step("compute the reference outputs")
    with sandbox.scratch() as folder:
        data_out = tflite.dumps(graph)
        (folder / "model.tflite").write_bytes(data_out)
        inputs = _golden_inputs(graph, tests, seed)
        outputs = reference_outputs(folder / "model.tflite", inputs)
        job = _Job(path.stem, model, plan, graph, data_out, (inputs, outputs), seed, passes=reports)
        job.accuracy = _accuracy(source, folder / "model.tflite", tests, plan, progress)
        if plan.steps:
            job.quantization = _quantization(source, graph, tests, progress)
    return job


def transform(graph: Graph, plan: recipe.Recipe, context: PassContext) -> tuple[Graph, list[dict[str, Any]]]:
    """Apply a recipe's passes, each with its own parameters and a report of its own; return the reports too."""
    reports = []
    for step in plan.steps:
        context.progress.step(step.name)
        own = replace(context, params=step.params, report={})
        notes = graph.notes
        graph = plugins.get("passes", step.name).apply(graph, own)
        graph.notes = list(dict.fromkeys([*notes, *graph.notes]))
        reports.append({"name": step.name, "params": step.params, **own.report})
    return graph, reports


def _golden_inputs(graph: Graph, samples: Dataset | None, seed: int) -> list[NDArray[Any]]:
    macs = max(1, statistics(graph).macs)
    count = max(GOLDEN_LEAST, min(GOLDEN_MOST, GOLDEN_MACS // macs))
    chosen = samples.subset(count, seed) if samples is not None else dataset.random(graph, seed=seed, samples=count)
    return dataset.as_network_inputs(chosen, graph)


def _accuracy(
    source: Graph, compiled: Path, tests: Dataset | None, plan: recipe.Recipe, progress: Progress
) -> dict[str, Any] | None:
    """Measure before and after, whole, by class and by group, and hold the recipe's bounds against it."""
    from edgekit import accuracy, fairness

    if tests is None or tests.labels is None:
        return None
    progress.step("measure the accuracy")
    found = accuracy.compare(source, compiled if plan.steps else source, tests)
    if found and found["missing_classes"]:
        progress.note(f"no sample of {fairness.listed(found['missing_classes'])}: nothing is known of their accuracy")
    if plan.bounds:
        if found is None:
            raise UsageError(f"the recipe {plan.name!r} bounds the accuracy, but the network is no classifier")
        fairness.check(plan.bounds, found)
    return found


def _bounds_can_be_checked(plan: recipe.Recipe, tests: Dataset | None) -> None:
    """Refuse data that cannot tell whether the recipe's bounds hold, before any work."""
    if plan.bounds and (tests is None or tests.labels is None):
        raise UsageError(
            f"the recipe {plan.name!r} bounds the accuracy, which takes labels", "give --test or --data with x and y"
        )
    if plan.bounds.group_drop is not None and tests is not None and tests.groups is None:
        raise UsageError(
            f"the recipe {plan.name!r} bounds group_drop, which takes groups", "add an array g to the .npz"
        )


def _quantization(source: Graph, graph: Graph, samples: Dataset | None, progress: Progress) -> dict[str, Any] | None:
    from edgekit import quality

    progress.step("measure the quantization error")
    report: dict[str, Any] | None = quality.report(source, graph, samples)
    similar = [o["cosine_similarity"] for o in (report or {}).get("outputs", [])]
    similarity = min((value for value in similar if value is not None), default=1.0)
    if similarity < SIMILAR:
        progress.warn(
            f"the quantized network's outputs are unlike the float network's (cosine {similarity:.2f}); "
            "calibrate on real samples, or try int8-dynamic or int8-w/int16-a"
        )
    return report


def _backend(name: str, graph: Graph, board: Target) -> Backend:
    """Return the backend asked for, or the first that supports every operator.

    :raises ModelError: listing what is not supported.
    """
    names = [name] if name != "auto" else [n for n in board.backends if n != "null"]
    refused: list[str] = []
    for candidate in names:
        backend: Backend = plugins.get("backends", candidate)
        missing = backend.unsupported(graph, board)
        if not missing:
            return backend
        first = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        refused.append(f"{candidate}: operator {first.index} {first.operator}: {first.reason}{more}")
        hint = first.remedy
    raise ModelError(f"cannot be compiled for {board.name}: " + "; ".join(refused), hint)


def _build(job: _Job, board: Target, backend: Backend, out: Path, pack: bool, progress: Progress) -> Compiled:
    """Make one bundle and prove it."""
    start = time.monotonic()
    final = out / f"{job.name}.{job.recipe.name}.{board.name}"
    with bundles.writing(final) as folder:
        progress.step(f"compile for {board.name}")
        (folder / "model.tflite").write_bytes(job.data)
        bundles.save_golden(folder, *job.golden)
        (folder / "artifact").mkdir()
        artifact = backend.compile(job.graph, folder / "model.tflite", board, folder / "artifact", progress)
        estimate = Roofline().profile(job.graph, None, board, {"threads": 1, "runtime": artifact.runtime})
        (folder / "profile.json").write_text(json.dumps(estimate.json(), indent=1) + "\n")
        manifest = _manifest(job, board, backend, artifact)
        (folder / "README.md").write_text(readme(manifest, board))
        bundles.finish(folder, manifest)
        progress.step(f"prove on {board.name}")
        parity = _prove(bundles.load(folder), board, progress)
        manifest["parity"] = parity.json()
        (folder / "manifest.json").unlink()
        bundles.finish(folder, manifest)
        if not parity.ok:
            raise CheckFailed(f"parity failed for {board.name}: {parity.words()}", "no bundle was written")
    finished = bundles.load(final)
    if pack:
        bundles.pack(final, final.with_name(final.name + ".edgekit"))
    return Compiled(
        board.name, final, backend.name, job.recipe.name, finished.manifest, job.accuracy, parity, job.graph.notes,
        job.passes, job.quantization, estimate.json(), time.monotonic() - start,
    )  # fmt: skip


def _prove(bundle: bundles.Bundle, board: Target, progress: Progress) -> Parity:
    """Prove on the target's emulator; where that is not installed, on the host's own LiteRT, and say so."""
    names = (
        ["null"] if bundle.manifest["backend"] == "null" else [n for n in board.runners if n in ("emulator", "host")]
    )
    for number, name in enumerate(names):
        try:
            return prove(bundle, get_runner(name), RunOptions(progress=progress))
        except ToolMissing as error:
            if number == len(names) - 1:
                raise
            progress.warn(f"{board.name}: not proven in the emulator: {error.message}; {error.hint}")
    raise ToolMissing(f"{board.name} has no runner that can prove a bundle")


def _manifest(job: _Job, board: Target, backend: Backend, artifact: Artifact) -> dict[str, Any]:
    return {
        "edgekit": edgekit.__version__,
        "model": job.model,
        "recipe": {"name": job.recipe.name, "steps": [asdict(step) for step in job.recipe.steps]},
        "seed": job.seed,
        "target": board.name,
        "backend": backend.name,
        "runtime": artifact.runtime,
        "run": list(artifact.run),
        "tools": artifact.tools,
        "inputs": [t.json() for t in job.graph.inputs],
        "outputs": [t.json() for t in job.graph.outputs],
        "accuracy": job.accuracy,
        "notes": job.graph.notes,
    }
