"""The runner for Core ML packages on a machine without Core ML: the saved program, read back and evaluated.

coremltools' loader reads the package; :mod:`.evaluate` computes operation after operation with coremltools' own
definitions where they compute, and NumPy where they do not (:mod:`.kernels`). So it proves what the package says, with
its stored weights and its precision, and not what Apple's compiler makes of it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends.coreml import DESCRIPTION, LIMITS, PRELOAD
from edgekit.backends.coreml.ends import entered, left
from edgekit.backends.coreml.package import NAME
from edgekit.errors import DeviceError
from edgekit.runners import Defaults, Device, OpenOptions, Refusal, Run, RunOptions, Session, Source, Trace
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

OTHERS = Refusal(
    f"the bundle has no artifact/{DESCRIPTION} that fits it", "this runner takes bundles of the backend coreml"
)


class MilRunner(Defaults):
    """Evaluates bundles of the backend ``coreml``. Registered as ``mil``."""

    name = "mil"
    proves = True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        return None if execution.prover == self.name else OTHERS

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`.

        :raises ToolMissing: if coremltools is not installed. :raises DeviceError: if the bundle's description of its
            package is damaged.
        """
        toolchain.load("coremltools").find()
        try:
            about = json.loads((bundle.artifact / DESCRIPTION).read_text())
            yielded = MilSession(bundle.artifact, about["inputs"], about["outputs"], str(about["version"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeviceError(OTHERS.reason, OTHERS.hint) from error
        yield yielded


@dataclass(frozen=True)
class MilSession:
    """Evaluates the package in ``artifact``, whose inputs and outputs are described."""

    artifact: Path
    inputs: Sequence[dict[str, Any]]
    outputs: Sequence[dict[str, Any]]
    version: str

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device("this machine", platform.machine())

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`; the options have no effect.

        :raises DeviceError: if the description does not fit the network; :raises ModelError: if the package is damaged.
        """
        try:
            arrays = {f"input{i}": entered(x, t) for i, (x, t) in enumerate(zip(inputs, self.inputs, strict=True))}
            names = {"inputs": [t["name"] for t in self.inputs], "outputs": [t["name"] for t in self.outputs]}
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(OTHERS.reason, OTHERS.hint) from error
        task = {"package": str((self.artifact / NAME).resolve()), **names}
        try:
            _, found = sandbox.call(
                "edgekit.runners.mil.evaluate:task", task, arrays, limits=LIMITS, preload=PRELOAD,
                readable=[self.artifact],
            )  # fmt: skip
        except sandbox.ChildDied as death:
            raise DeviceError(f"evaluating the package {death.reason}", "try a smaller network") from death
        outputs = [left(found[f"output{i}"], t) for i, t in enumerate(self.outputs)]
        return Run(outputs, Trace(Source.HOST, f"Core ML's operations, evaluated ({self.version})"), {"threads": 1})
