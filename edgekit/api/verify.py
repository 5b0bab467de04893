"""Check a bundle: is it whole, is its reference right, does the artifact compute what the network computes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import bundle as bundles
from edgekit.api import origin
from edgekit.api.prove import backend_of, prove
from edgekit.audit import audit
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.graph import check
from edgekit.metrics.verdict import Parity
from edgekit.progress import Progress, Silent
from edgekit.reference.litert import reference_outputs
from edgekit.runners import OpenOptions, RunOptions, provers
from edgekit.runners import get as get_runner

AGAIN = "compile its model.tflite again"


@dataclass(frozen=True)
class Check:
    """One thing that was checked; ``ok`` is None where it could be checked only in part, and nothing is wrong there."""

    name: str
    ok: bool | None
    detail: str


@dataclass
class Verification:
    """All checks; ``parity`` is None where an earlier check made running pointless."""

    checks: list[Check] = field(default_factory=list)
    parity: Parity | None = None

    @property
    def ok(self) -> bool | None:
        """False if a check failed; None if none did, but one could be made only in part."""
        if any(check.ok is False for check in self.checks):
            return False
        return None if any(check.ok is None for check in self.checks) else True

    def json(self) -> dict[str, Any]:
        """Return the document of ``edgekit verify --json``."""
        return {
            "schema": 1,
            "ok": self.ok,
            "checks": [asdict(check) for check in self.checks],
            "parity": self.parity.json() if self.parity else None,
        }


def default_runner(bundle: bundles.Bundle) -> str:
    """Where a bundle runs if the user does not say: the target's emulator, else this host."""
    return next(iter(provers(bundle.target, bundle.execution)), "host")


def verify(path: str | Path, *, on: str | None = None, threads: int = 1, progress: Progress = Silent()) -> Verification:
    """Verify a bundle.

    :param on: the runner (``emulator``, ``host``, ``ssh://...``); default: the target's emulator, else the host.
    :raises DeviceError, ToolMissing: if the runner fails; a failed check is not an error but a result.
    """
    result = Verification()
    with ExitStack() as stack:
        progress.step("check the files")
        try:
            bundle = stack.enter_context(bundles.opened(Path(path)))
        except bundles.Damaged as error:
            result.checks.append(Check("files", False, "; ".join(error.problems[:3])))
            return result
        result.checks.append(Check("files", True, "every sha256 matches"))
        try:
            check.check(bundle.graph)
            result.checks.append(Check("model", True, f"{len(bundle.graph.operators)} operators"))
            if bundle.task is not None:
                result.checks.append(Check("task", True, f"{bundle.task.kind}, for this network"))
            progress.step("compute the reference outputs")
            result.checks.append(_golden(bundle))
        except EdgekitError as error:
            result.checks.append(Check("model", False, error.message))
            return result
        progress.step("look at programs and libraries")
        if (system := audit(bundle)) is not None:
            result.checks.append(Check("system", system.ok, system.words()))
        if origin.is_source(bundle):
            progress.step("write the artifact again, and compare")
            result.checks.append(_origin(bundle))
            if not result.checks[-1].ok:
                return result
        on = on or default_runner(bundle)
        progress.step(f"run on {on}")
        result.parity = prove(bundle, get_runner(on), RunOptions(threads=threads), opening=OpenOptions(progress))
        result.checks.append(Check("parity", result.parity.ok, f"on {on}: {result.parity.of_network()}"))
        if (found := result.parity.decision) is not None:
            result.checks.append(Check("decision", found.ok, found.words()))
    return result


def _origin(bundle: bundles.Bundle) -> Check:
    """Every file that a vendor's tools will read must be what the backend writes for this network."""
    backend = backend_of(bundle)
    if backend.name not in origin.WRITERS:  # others may take long, as one that places and routes
        return Check("origin", False, f"{backend.name} does not write what is in artifact/; {AGAIN}")
    try:
        wrong = origin.difference(bundle, backend)
    except (ModelError, UsageError) as error:  # the network, or the target, is not for this backend
        return Check("origin", False, f"{error.message}; {AGAIN}")
    if wrong:
        return Check("origin", False, f"{wrong}: not what {backend.name} writes for this network; {AGAIN}")
    return Check("origin", True, f"every file of artifact/ is what {backend.name} writes for this network")


def _golden(bundle: bundles.Bundle) -> Check:
    """The golden outputs must be what the reference kernels compute now: integers exactly, floats to 1e-5."""
    inputs, golden = bundle.golden()
    again = reference_outputs(bundle.model, inputs)
    same = len(again) == len(golden) and all(
        np.array_equal(a, b) if np.issubdtype(a.dtype, np.integer) else np.allclose(a, b, 1e-5, 1e-6, equal_nan=True)
        for a, b in zip(again, golden, strict=True)
    )
    detail = f"{len(inputs[0]) if inputs else 0} samples"
    return Check("golden", same, detail if same else "the reference's outputs are not those in golden.npz")
