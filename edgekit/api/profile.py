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
from edgekit.profiling import Evidence, Profile, registry
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
    threads: int = 1,
    repeat: int = REPEAT,
    shapes: Sequence[str] = (),
    trust: bool = False,
    progress: Progress = Silent(),
) -> Profile:
    """Profile a bundle, or (``on="estimate"`` only) a bare model.

    :param on: ``estimate``, ``emulator``, ``host`` or a device (``ssh://user@host:port``).
    :param target: for a bare model: whose estimate.
    :param shapes: of a bare model's inputs that it leaves open, as for ``compile``.
    :raises UsageError: if a bare model is to be run, or no target is named for it.
    """
    path, wanted = Path(path), parse_shapes(shapes)
    if bundles.is_bundle(path):
        no_shapes(shapes)
        with bundles.opened(path) as bundle:
            if target is not None and target != bundle.target.name:
                raise UsageError(f"this bundle is for {bundle.target.name}, not {target}", "omit --target")
            threads = 1 if not bundle.execution.threads else threads  # compiled networks run on one, whatever is wanted
            if on == Evidence.ESTIMATE:
                made = _estimate(bundle.graph, bundle.target, threads, str(bundle.manifest["runtime"]))
            else:
                made = _observed(bundle, on, threads, repeat, progress)
            return _measured_memory(made, bundle)
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
    progress.step(f"read {path.name}")
    return _estimate(
        load(path, options=ReadOptions(trust=trust, shapes=wanted, progress=progress)), board, threads, "any"
    )


def _target(name: str) -> Target:
    return target.load(name)


def _estimate(graph: Graph, board: Target, threads: int, runtime: str) -> Profile:
    return registry.estimate(graph, board, {"threads": threads, "runtime": runtime, "dtype": dtype_of(graph)})


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
