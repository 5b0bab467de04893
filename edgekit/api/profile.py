"""Latency, energy and memory of one inference and of each operator."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit import bundle as bundles
from edgekit import target
from edgekit.api.load import load
from edgekit.bundle.execution import Kind
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.profiling import Evidence, Profile, capacity, operation, registry
from edgekit.profiling.calibrated import calibration
from edgekit.profiling.calibrated.estimate import CalibratedCost
from edgekit.profiling.dtypes import dtype_of
from edgekit.progress import Progress, Silent
from edgekit.readers import ReadOptions
from edgekit.readers.shapes import no_shapes
from edgekit.readers.shapes import parse as parse_shapes
from edgekit.runners import Observes, OpenOptions, RunOptions, Source, once
from edgekit.runners import get as get_runner
from edgekit.target import Target

REPEAT, WARMUP = 50, 5


def profile(
    path: str | Path,
    *,
    on: str = Evidence.ESTIMATE,
    target: str | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    power_mode: str | None = None,
    own: str | Path | None = None,
    repeat: int = REPEAT,
    shapes: Sequence[str] = (),
    duty: str | None = None,
    battery: str | None = None,
    price_per_kwh: float | None = None,
    device_price: float | None = None,
    lifetime: str | None = None,
    trust: bool = False,
    progress: Progress = Silent(),
) -> Profile:
    """Profile a bundle, or (``on="estimate"`` only) a bare model.

    :param on: ``estimate``, ``emulator``, ``host`` or a device (``ssh://user@host:port``).
    :param target: for a bare model: whose estimate.
    :param runtime: of an estimate: whose speed (``litert``, ``tflite-2.4-ruy``, ``tensorrt``, ...); ``edgekit targets
        show`` lists those that were measured. Default: a bundle's own, LiteRT for a bare model.
    :param threads: default: 1 for a bundle; for a bare model, as many as were measured.
    :param power_mode: of an estimate: the board's power mode, where several were measured.
    :param own: of an estimate: the calibration of the user's own board, as ``edgekit calibrate`` wrote it.
    :param shapes: of a bare model's inputs that it leaves open, as for ``compile``.
    :param duty: how often the board infers (``1/s``, ``10/min``), for average power; it idles meanwhile.
    :param battery: ``3000mAh@3.7V`` or ``11.1Wh``, for the life time.
    :param price_per_kwh, device_price, lifetime: for the cost of a million inferences; ``lifetime`` is ``3y``.
    :raises UsageError: if a bare model is to be run, or no target is named for it.
    :raises ModelError: of an estimate: if the network does not fit into the board's memory.
    """
    path, wanted = Path(path), parse_shapes(shapes)
    asked = operation.use(duty, battery, price_per_kwh, device_price, lifetime)
    if bundles.is_bundle(path):
        no_shapes(shapes)
        with bundles.opened(path) as bundle:
            if target is not None and target != bundle.target.name:
                raise UsageError(f"this bundle is for {bundle.target.name}, not {target}", "omit --target")
            _check_threads(bundle.target, threads, on)
            threads = (threads or 1) if bundle.execution.threads else 1
            if on == Evidence.ESTIMATE:
                usual = str(bundle.manifest["runtime"])
                made = _estimate(bundle.graph, bundle.target, threads, runtime, power_mode, usual, own)
            else:
                _only_estimated(on, runtime, power_mode, own)
                made = _observed(bundle, on, threads, repeat, progress)
            return _used(_measured_memory(made, bundle), asked)
    if not path.exists() and (on != Evidence.ESTIMATE or target is None):
        raise UsageError(f"there is no bundle or model {path}", "check the path; `edgekit compile` prints a bundle's")
    if on != Evidence.ESTIMATE:
        raise UsageError(
            f"a bare model cannot run on {on}",
            f"make a bundle first: {shlex.join(['edgekit', 'compile', str(path), '--target', target or 'host'])}",
        )
    if target is None:
        raise UsageError("name the target whose estimate you want", "add --target rpi4, for example")
    board = _target(target)
    _check_threads(board, threads, on)
    _check(board, runtime, power_mode)
    progress.step(f"read {path.name}")
    graph = load(path, options=ReadOptions(trust=trust, shapes=wanted, progress=progress))
    return _used(_estimate(graph, board, threads, runtime, power_mode, "any", own), asked)


def _used(made: Profile, asked: operation.Use | None) -> Profile:
    """The profile with what follows from how the board is used."""
    return made if asked is None else replace(made, operation=operation.operation(made, _target(made.target), asked))


def _target(name: str) -> Target:
    return target.load(name)


def _estimate(
    graph: Graph,
    board: Target,
    threads: int | None,
    runtime: str | None,
    power_mode: str | None,
    usual: str,
    own: str | Path | None,
) -> Profile:
    """``usual``: the runtime if none is named; ``own``: the calibration to take, whatever the runtime."""
    _check(board, runtime, power_mode)
    capacity.check(graph, board)
    conditions = {"threads": threads, "runtime": runtime or usual, "dtype": dtype_of(graph), "power_mode": power_mode}
    known = {name: value for name, value in conditions.items() if value is not None}
    if own is None:
        return registry.estimate(graph, board, known)
    mine = calibration.parse(Path(own))
    if mine.target != board.name or mine.dtype not in calibration.ALIKE[dtype_of(graph)]:
        raise UsageError(
            f"{own} is for {mine.target} in {mine.dtype}, the network is for {board.name} in {dtype_of(graph)}",
            "omit --calibration, or run edgekit calibrate for that target and dtype",
        )
    return CalibratedCost(calibration.Choice(mine)).profile(graph, None, board, known)


def _check(board: Target, runtime: str | None, power_mode: str | None) -> None:
    """Refuse a runtime or a power mode that nothing is known of."""
    if runtime is not None and not calibration.knows(board.name, runtime) and runtime not in board.backends:
        raise calibration.unknown_runtime(board.name, runtime)
    if power_mode is None:
        return
    modes = sorted({one.power_mode for one in calibration.of(board.name)} - {""})
    if power_mode not in modes:
        known = f"known: {', '.join(modes)}" if modes else f"none was measured on {board.name}: omit --power-mode"
        raise UsageError(f"nothing is known of the power mode {power_mode!r} of {board.name}", known)


def _check_threads(board: Target, threads: int | None, on: str) -> None:
    """Refuse threads beyond the cores where the figures would be a board's."""
    if threads is not None and on in (Evidence.ESTIMATE, Evidence.EMULATOR) and threads > max(1, board.cores):
        cores = "one core" if board.cores == 1 else f"{board.cores} cores"
        raise UsageError(f"{board.name} has {cores}, not {threads}", f"use --threads {board.cores} or fewer")


def _only_estimated(on: str, runtime: str | None, power_mode: str | None, own: str | Path | None) -> None:
    for name, value in (("--runtime", runtime), ("--power-mode", power_mode), ("--calibration", own)):
        if value is not None:
            raise UsageError(f"{name} is for estimates; --on {on} runs what the bundle holds", f"omit {name}")


def _measured_memory(profile: Profile, bundle: bundles.Bundle) -> Profile:
    """Return the profile with the memory of a firmware as its linker placed it, in place of the Graph's."""
    footprint = bundle.manifest.get("footprint", {})
    if bundle.execution.kind is not Kind.FIRMWARE or not isinstance(footprint, dict):
        return profile
    names = {"peak_ram_bytes": "ram_bytes", "weights_bytes": "constant_bytes", "flash_bytes": "flash_bytes"}
    sizes = {name: footprint.get(key) for name, key in names.items()}
    known = {name: size for name, size in sizes.items() if isinstance(size, int)}
    return replace(profile, memory={**profile.memory, **known})


def _observed(bundle: bundles.Bundle, on: str, threads: int, repeat: int, progress: Progress) -> Profile:
    progress.step(f"profile on {on}")
    inputs, _ = bundle.golden()
    runner = get_runner(on)
    if runner.observes is Observes.COUNTS:  # one inference instead of many
        inputs = [x[:1] for x in inputs]
    options = RunOptions(repeat=repeat, warmup=WARMUP, threads=threads, profile=True)
    run = once(runner, bundle, inputs, options, OpenOptions(progress))
    if run.trace.source is not Source.EMULATOR and not run.trace.latency_ms:
        raise UsageError(f"--on {on} measures no time", "profile it with --on estimate, or on the device")
    conditions = {"dtype": dtype_of(bundle.graph), "threads": threads, **run.conditions}
    # What ran here says nothing about the bundle's board: neither its power nor its name may stand beside the times.
    board = _target("host") if run.trace.source is Source.HOST else bundle.target
    return registry.observed(bundle.graph, run.trace, board, conditions)
