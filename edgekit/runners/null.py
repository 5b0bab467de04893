"""The null runner: reference execution on this machine, whatever the bundle's target is. It times nothing."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bundle.execution import Kind
from edgekit.reference.litert import reference_outputs
from edgekit.runners import Defaults, Device, OpenOptions, Refusal, Run, RunOptions, Session, Source, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

INSTEAD = "compile the model with --target host --backend null"
"""How to run a network's reference without an NPU."""


@dataclass(frozen=True)
class Reference:
    """A session of LiteRT's reference kernels."""

    model: Path

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device("this machine", platform.machine())

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`; the options have no effect."""
        outputs = reference_outputs(self.model, inputs)
        return Run(outputs, Trace(Source.HOST, "reference kernels"), {"threads": 1})


class NullRunner(Defaults):
    """Runs the bundle's model on LiteRT's reference kernels."""

    name = "null"

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`: the reference's results say nothing of what only an NPU executes."""
        return Refusal("nothing here executes an NPU's commands", INSTEAD) if execution.kind is Kind.NPU else None

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        yield Reference(bundle.model)
