"""Compile a model into one proven bundle per target."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import edgekit
from edgekit import backends, delegates, plugins, sandbox, target
from edgekit import bundle as bundles
from edgekit.api import advice
from edgekit.api.choose import Plans, fastest, threads_for
from edgekit.api.job import Job, prepare, read
from edgekit.api.measuring import drops_checked
from edgekit.api.output import output
from edgekit.api.prove import prove
from edgekit.audit import audit
from edgekit.backends import Artifact, Backend, Options, Planned, Request
from edgekit.bundle import material, writing
from edgekit.bundle.execution import Footprint
from edgekit.bundle.readme import readme
from edgekit.compression import budget
from edgekit.errors import CheckFailed, ModelError, ToolMissing, UsageError
from edgekit.files.documents import dumps, write_text
from edgekit.graph import Graph
from edgekit.graph.onnx_operators import has_onnx
from edgekit.metrics.tasks import registry as metric_registry
from edgekit.metrics.tasks.gauge import own_metric
from edgekit.metrics.verdict import NOTHING, Parity
from edgekit.passes import recipe
from edgekit.profiling import Profile, registry
from edgekit.progress import Progress, Silent
from edgekit.reference.litert import PRELOAD
from edgekit.runners import OpenOptions, Run, provers
from edgekit.runners import get as get_runner
from edgekit.target import Target
from edgekit.training.workers import parse as parse_workers

FIRST, AUTO = "first", "auto"
"""Ways to choose a backend other than by its name."""
OTHER_DATA = "pass --data that the network was made for"
SLOWER = 1.1
"""Ratio of the estimates from which a recipe counts as slower."""


@dataclass(frozen=True)
class Compiled:
    """A bundle that was built. ``json()`` is its entry in the JSON of ``edgekit compile``."""

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
        """Return the bundle's entry in the JSON of ``compile``."""
        files = [{"path": name, **entry} for name, entry in self.manifest["files"].items()]
        return {
            "target": self.target,
            "path": str(self.path),
            "backend": self.backend,
            "choice": self.manifest.get("choice"),
            "delegates": self.manifest.get("delegates", []),
            "recipe": self.recipe,
            "artifact": {"files": [f for f in files if f["path"].startswith(("artifact/", "model.tflite"))]},
            "accuracy": self.accuracy,
            "metrics": self.manifest.get("metrics", []),
            "parity": self.parity.json(),
            "notes": self.notes,
            "passes": self.passes,
            "quantization": self.quantization,
            "estimate": self.estimate,
            "seconds": round(self.seconds, 3),
        }


def compile(
    model: str | Path,
    *,
    targets: Sequence[str],
    recipe: str = "as-is",
    data: str | None = None,
    test: str | None = None,
    backend: str = FIRST,
    out: str | Path = "build",
    seed: int = 0,
    workers: str = "1",
    changes: Sequence[str] = (),
    shapes: Sequence[str] = (),
    trust: bool = False,
    pack: bool = False,
    database: str | None = None,
    threads: int | None = None,
    metrics: Sequence[str] = (),
    budgets: Sequence[str] = (),
    task: str | Path | None = None,
    split: bool = False,
    progress: Progress = Silent(),
) -> list[Compiled]:
    """Compile a model for one or more targets.

    :param data: samples for calibration: an ``.npz``, a folder of images, or ``random`` (docs/data.md).
    :param split: of FPGAs, leave operators that they lack to the host.
    :param test: labelled samples to measure accuracy on; default: ``data``, if it has labels.
    :param task: a ``task.toml`` (docs/tasks.md); default: the one beside the model, if there is one.
    :param backend: a backend's name; ``first``: the first of the target's backends that supports the network; ``auto``:
        all that do, of which the fastest by the best evidence at hand is kept (:mod:`edgekit.api.choose`).
    :param out: folder for the bundles, ``<model>.<recipe>.<target>`` each.
    :param workers: for passes that train: a number of processes, or hosts (docs/distributed.md).
    :param changes: parameters of the recipe's passes to change, ``"PASS.PARAMETER=VALUE"`` each, and options of
        backends, ``"BACKEND.OPTION=VALUE"``.
    :param shapes: shapes of inputs that the model leaves open, ``"NAME=1x3x224x224"`` each; ``"1x3x224x224"`` if there
        is only one.
    :param pack: also write each bundle as a single ``.edgekit`` file.
    :param database: tuned kernels (docs/tuning.md): a file, or a folder of them; ``auto``: edgekit's cache; None: the
        rules' kernels, so that the contents of a cache do not change what is compiled.
    :param threads: for ``auto``: the threads that an inference may use; default: one per core of the target.
    :param metrics: what else to judge the network by, before and after the recipe (docs/data.md); default: what its
        task is judged by, unless that is accuracy.
    :param budgets: ``metric-drop=NUMBER``: how much of each metric the recipe may cost, in the metric's own unit.
    :returns: one :class:`Compiled` per target, in the given order.
    :raises EdgekitError: a subclass says what went wrong; no half-written bundle is left.
    """
    sandbox.warm(PRELOAD)
    boards = [target.load(name) for name in dict.fromkeys(targets)]
    if not boards:
        raise UsageError("no target was given", "pass one with --target; `edgekit targets` lists them")
    changes, options = _options(changes)
    plan = _recipe(recipe, changes, data)
    for board in boards:
        _known_backend(backend, board, options)
    if split:
        options = _splitting(options, {_first(backend, board) for board in boards})
    if threads is not None and backend != AUTO:
        raise UsageError("--threads is what --backend auto decides for", "omit it; `edgekit profile` takes --threads")
    counts = {board.name: threads_for(board, threads) for board in boards}
    limits = _limits(budgets)
    judges = [metric_registry.get(name) for name in dict.fromkeys(metrics)]
    parse_workers(workers)
    if database not in (None, AUTO):
        from edgekit.backends.tvm import database as tuned

        for board in boards:
            tuned.choices(database, board)
    with output(Path(out)) as folder:
        source = read(Path(model), data, test, seed, trust, progress, shapes, None if task is None else Path(task))
        plans: list[Plans] = []

        def choose(graph: Graph) -> None:
            plans.extend(_plans(backend, graph, board, options) for board in boards)

        own = None if judges else own_metric(source.task, source.tests)
        judges = judges if own is None else [own]
        if limits and not judges:
            raise UsageError(f"--budget {limits[0].text} bounds metrics, but there is none", "name one with --metric")
        job = prepare(
            source,
            plan,
            seed,
            workers,
            progress,
            check=choose,
            named=None if changes else recipe,
            metrics=judges,
            own=None if limits or own is None or plan.bounds.metric == own.name else own,
        )
        drops_checked(limits, job.metrics, plan)
        job.tuning, job.options = database, options
        makers: list[Callable[[], Compiled]] = []
        for board, found in zip(boards, plans, strict=True):
            if backend == AUTO:
                makers.append(
                    functools.partial(fastest, build, job, board, found, folder, pack, counts[board.name], progress)
                )
            else:
                makers.append(functools.partial(build, job, *_usable(found, options), folder, pack, progress))
        # Backends that are timed against each other on this machine do not run beside others.
        return _side_by_side(makers, 1 if backend == AUTO else min(len(boards), 4))


def _limits(texts: Sequence[str]) -> tuple[budget.Budget, ...]:
    limits = budget.parse(texts)
    for limit in limits:
        if limit.name != budget.METRIC:
            raise UsageError(
                f"the budget {limit.name} is not for compile", "edgekit compress searches for what meets it"
            )
    return limits


def _side_by_side(makers: Sequence[Callable[[], Compiled]], most: int) -> list[Compiled]:
    """Run the functions in threads, at most ``most`` at a time; the first error ends all."""
    with ThreadPoolExecutor(max_workers=most) as pool:
        futures = [pool.submit(make) for make in makers]
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
            "pass --data FILE.npz, a folder of images, or --data random to try it out",
        )
    return plan


def _options(changes: Sequence[str]) -> tuple[list[str], Options]:
    """Split what ``--set`` gave: changes to passes, and options of backends."""
    known = plugins.names("backends")
    own = [change for change in changes if change.partition(".")[0].strip() in known]
    options: dict[str, dict[str, Any]] = {}
    for change in own:
        name, option, value = recipe.change_of(change)
        options.setdefault(name, {})[option] = value
    return [change for change in changes if change not in own], options


def _first(name: str, board: Target) -> str:
    """The backend that would compile for a board, AUTO where that is yet to be decided."""
    return board.backends[0] if name == FIRST else name


def _splitting(options: Options, chosen: Collection[str]) -> Options:
    """Options with which the backends that can do so leave operators to the host.

    :raises UsageError: if none of them can.
    """
    able = [name for name in sorted(chosen) if name != AUTO and plugins.get("backends", name).splits]
    if not able:
        raise UsageError(
            "--split is for FPGAs: it leaves operators to the host beside them", "omit it, or use --target ecp5-85f"
        )
    return {**options, **{name: {**options.get(name, {}), "split": True} for name in able}}


def _known_backend(name: str, board: Target, options: Options) -> None:
    for other in options:
        chosen = other if name == AUTO else _first(name, board)
        if other not in board.backends or chosen != other:
            able = [one for one in target.names() if other in target.load(one).backends]
            another = f"omit it, or use --target {' or '.join(able[:3])}"
            raise UsageError(
                f"--set {other}.{next(iter(options[other]))}: {other} would not compile for {board.name}",
                f"add --backend {other}" if other in board.backends else another,
            )
        backends.get(other, options)
    if name in (FIRST, AUTO):
        return
    plugins.get("backends", name)
    if name not in board.backends:
        raise UsageError(
            f"the backend {name!r} does not support {board.name}", "its backends: " + ", ".join(board.backends)
        )


def backend_for(name: str, graph: Graph, board: Target) -> tuple[Backend, Planned]:
    """Return the requested backend, or the first that supports every operator, and its plan.

    :raises ModelError: listing what is not supported.
    """
    return _usable(_plans(name, graph, board))


def _usable(plans: Plans, options: Options = MappingProxyType({})) -> tuple[Backend, Planned]:
    """Return the first backend that can compile the network."""
    return next((backends.get(name, options), plan) for name, plan in plans.items() if isinstance(plan, Planned))


def _plans(name: str, graph: Graph, board: Target, options: Options = MappingProxyType({})) -> Plans:
    """Return the backends' plans, up to the first that can compile the network; for ``auto``, those of all backends.

    :raises ModelError: listing what is not supported, if none can.
    """
    one = name not in (FIRST, AUTO)
    names = [name] if one else [n for n in board.backends if n != "null"] or board.backends[:1]
    plans: Plans = {}
    for candidate in names:
        backend = backends.get(candidate, options)
        plans[candidate] = backend.plan(graph, board)
        if name != AUTO and isinstance(plans[candidate], Planned):
            break
    if any(isinstance(plan, Planned) for plan in plans.values()):
        return plans
    refused: list[str] = []
    hints: list[str] = []
    for candidate, missing in plans.items():
        assert isinstance(missing, list)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        refused.append(f"{candidate}: {missing[0].words()}{more}")
        hints.append(missing[0].remedy)
    others = advice.other_backends(graph, board, name) if one else []
    unusable = [other for other in plugins.names("backends") if other not in others]
    hints = [hint for hint in (advice.without(hint, unusable) for hint in hints) if hint]
    if others:
        hints = [f"{hints[-1]}, or --backend {others[0]}" if hints else f"use --backend {others[0]}"]
    raise ModelError(
        f"cannot be compiled for {board.name}: " + "; ".join(refused),
        hints[-1] if hints else "`edgekit inspect MODEL` says which targets support it",
    )


def build(job: Job, backend: Backend, planned: Planned, out: Path, pack: bool, progress: Progress) -> Compiled:
    """Build one bundle and prove it."""
    board = planned.target
    start = time.monotonic()
    final = out / f"{job.name}.{job.recipe.name}.{board.name}"
    with writing.folder(final, packed=pack) as folder:
        progress.step(f"compile for {board.name}")
        (folder / "model.tflite").write_bytes(job.data)
        writing.save_golden(folder, *job.golden)
        if job.material is not None:
            material.save(folder, job.material)
        for name, content in job.task.files().items() if job.task else ():
            (folder / name).write_bytes(content)
        (folder / "artifact").mkdir()
        request = Request(folder / "model.tflite", folder / "artifact", job.tuning, progress, job.name)
        with advice.ways_out(job, board, backend, keep=True):
            artifact = backend.build(planned, request)
        estimate = registry.estimate(job.graph, board, {"threads": 1, "runtime": artifact.runtime})
        write_text(folder / "profile.json", dumps(estimate.json()) + "\n")
        _slower(job, board, artifact, estimate, progress)
        manifest = _manifest(job, board, backend, artifact, folder)
        write_text(folder / "README.md", readme(manifest, board, artifact.execution))
        writing.finish(folder, manifest)
        progress.step(f"prove on {board.name}")
        with advice.ways_out(job, board, backend):
            seen = functools.partial(_stack_used, manifest["footprint"])
            parity = _prove(bundles.load(folder), backend, planned, job.tuning, progress, seen)
        manifest["parity"] = parity.json()
        (folder / "manifest.json").unlink()
        writing.finish(folder, manifest)
        if parity.failed:
            hint = OTHER_DATA if parity.reason == NOTHING else advice.way_out(job, board, backend)
            raise CheckFailed(f"parity failed for {board.name}: {parity.words()}", hint)
        finished = bundles.load(folder)
        if (found := audit(finished, own=True)) is not None:
            for problem in found.problems:
                progress.warn(f"{board.name}: {problem}")
    return Compiled(
        board.name, final, backend.name, job.recipe.name, finished.manifest, job.accuracy, parity, job.graph.notes,
        [step.json() for step in job.passes], job.quantization, estimate.json(), time.monotonic() - start,
    )  # fmt: skip


def _slower(job: Job, board: Target, artifact: Artifact, estimate: Profile, progress: Progress) -> None:
    """Warn if a recipe that quantizes makes the network slower than it was, by the estimates of both."""
    if not job.quantizes or job.source is None or has_onnx(job.source):
        return
    before = registry.estimate(job.source, board, {"threads": 1, "runtime": artifact.runtime})
    if estimate.latency_ms.value > SLOWER * before.latency_ms.value:
        progress.warn(
            f"{board.name}: the recipe {job.recipe.name} is estimated slower than the network as it is: "
            f"{estimate.latency_ms.value:.3g} ms against {before.latency_ms.value:.3g} ms"
        )


def _stack_used(footprint: dict[str, Any], run: Run) -> None:
    """Add to a firmware's footprint how much of the stack was in use, which is at most the worst case.

    :raises CheckFailed: if it is more.
    """
    used, most = run.conditions.get("stack_used_bytes"), footprint.get("stack_bytes")
    if isinstance(used, int):
        footprint["stack_used_bytes"] = used
        if most is not None and used > most:
            raise CheckFailed(
                f"the firmware used {used} bytes of stack, and {most} were found to be the worst case",
                "please report this, with your compiler's version",
            )


def _prove(
    bundle: bundles.Bundle, made_by: Backend, planned: Planned, tuning: str | None, progress: Progress,
    seen: Callable[[Run], None],
) -> Parity:  # fmt: skip
    """Prove on the target's emulator; if that is not installed, on this machine's own LiteRT, with a warning.

    :raises ToolMissing: if the emulator is not installed and this machine cannot run the bundle.
    """
    board = bundle.target
    names = provers(board, bundle.execution)
    for number, name in enumerate(names):
        try:
            return prove(
                bundle, get_runner(name), backend=made_by, planned=planned, tuning=tuning,
                opening=OpenOptions(progress), seen=seen,
            )  # fmt: skip
        except ToolMissing as error:
            if number == len(names) - 1:
                raise
            progress.warn(f"{board.name}: not proven in the emulator: {error.message}; {error.hint}")
    raise ToolMissing(f"{board.name} has no runner that can prove a bundle")


def _manifest(job: Job, board: Target, backend: Backend, artifact: Artifact, folder: Path) -> dict[str, Any]:
    files = sum((folder / "artifact" / name).stat().st_size for name in bundles.relative_files(folder / "artifact"))
    model = 0 if artifact.execution.made_of_network else len(job.data)
    return {
        "edgekit": edgekit.__version__,
        "model": job.model,
        "recipe": {"name": job.recipe.name, "steps": [asdict(step) for step in job.recipe.steps]},
        "seed": job.seed,
        "target": board.name,
        "backend": backend.name,
        "runtime": artifact.runtime,
        "run": list(artifact.execution.command),
        "execution": artifact.execution.json(),
        "footprint": (artifact.footprint or Footprint(files + model, artifact.ram_bytes)).json(),
        "tools": artifact.tools,
        **({"options": dict(artifact.options)} if artifact.options else {}),
        **({"tuning": {"sha256": artifact.tuning_sha256}} if artifact.tuning_sha256 else {}),
        "inputs": [t.json() for t in job.graph.inputs],
        "outputs": [t.json() for t in job.graph.outputs],
        "accuracy": job.accuracy,
        **({"task": job.task.json()} if job.task else {}),
        **({"metrics": [judged.json() for judged in job.metrics]} if job.metrics else {}),
        "notes": job.graph.notes,
        "delegates": [advice.json() for advice in delegates.for_target(job.graph, board)],
    }
