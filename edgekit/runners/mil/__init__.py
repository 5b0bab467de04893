"""The runner for Core ML packages on a machine without Core ML: the saved program, read back and evaluated.

coremltools' loader reads the package; :mod:`.evaluate` computes operation after operation with coremltools' own
definitions where they compute, and NumPy where they do not (:mod:`.kernels`). So it proves what the package says, with
its stored weights and its precision, and not what Apple's compiler makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends.coreml import DESCRIPTION, LIMITS, PRELOAD
from edgekit.backends.coreml.ends import entered, left
from edgekit.backends.coreml.package import NAME
from edgekit.errors import DeviceError
from edgekit.runners import Run, RunOptions, Trace
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle


class MilRunner:
    """Evaluates bundles of the backend ``coreml``. Registered as ``mil``."""

    name = "mil"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`; ``repeat``, ``threads`` and ``profile`` have no effect.

        :raises ToolMissing: if coremltools is not installed.
        :raises DeviceError: if the bundle holds no package; :raises ModelError: if that is damaged.
        """
        toolchain.load("coremltools").find()
        try:
            about = json.loads((bundle.artifact / DESCRIPTION).read_text())
            takes, gives = about["inputs"], about["outputs"]
            arrays = {f"input{i}": entered(x, t) for i, (x, t) in enumerate(zip(inputs, takes, strict=True))}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeviceError(
                f"the bundle has no artifact/{DESCRIPTION} that fits it",
                "this runner takes bundles of the backend coreml",
            ) from error
        task = {
            "package": str((bundle.artifact / NAME).resolve()), "inputs": [t["name"] for t in takes],
            "outputs": [t["name"] for t in gives],
        }  # fmt: skip
        try:
            _, found = sandbox.call(
                "edgekit.runners.mil.evaluate:task", task, arrays, limits=LIMITS, preload=PRELOAD,
                readable=[bundle.artifact],
            )  # fmt: skip
        except sandbox.ChildDied as death:
            raise DeviceError(f"evaluating the package {death.reason}", "try a smaller network") from death
        outputs = [left(found[f"output{i}"], t) for i, t in enumerate(gives)]
        return Run(outputs, Trace("host", f"Core ML's operations, evaluated ({about['version']})"), {"threads": 1})
