"""What of a bundle for Ethos-U can be checked and executed without the NPU.

The compiled network's structure is compared with the network's, and the operators that run on the core are executed as
the bundle's own C, each part fed with the reference's values. The custom operators are executed nowhere; their results
are the reference's, so the outputs say nothing of them, and :class:`edgekit.runners.Partial` says which they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import Request
from edgekit.backends.c99 import C99
from edgekit.backends.vela import NETWORK, checked, compiler, core, structure
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError, ModelError, ToolMissing
from edgekit.graph import tflite
from edgekit.reference.litert import reference_tensors
from edgekit.runners import (
    Defaults,
    Device,
    OpenOptions,
    Partial,
    Refusal,
    Run,
    RunOptions,
    Source,
    Trace,
    once,
    provers,
)  # fmt: skip
from edgekit.runners import get as get_runner
from edgekit.target import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.vela.structure import Part
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target
HOST = "host"
"""The target on which the core's operators run if the emulator of the NPU's own core is not there."""


@dataclass(frozen=True)
class Without:
    """A session without the NPU."""

    bundle: Bundle
    parts: tuple[Part, ...]
    again: bool
    options: OpenOptions
    wrong: str = ""

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device("this machine, without an NPU")

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`: the outputs are the reference's wherever the NPU computes them."""
        graph, target = self.bundle.graph, self.bundle.target
        if self.wrong:
            return Run(
                [], Trace(Source.HOST, self.bundle.manifest["runtime"]), {}, Partial({}, {}, (), "", wrong=self.wrong)
            )
        values = reference_tensors(self.bundle.model, inputs)
        values |= dict(zip(graph.main.inputs, inputs, strict=True))
        board, on = core.board(target), ""
        executed: dict[int, NDArray[Any]] = {}
        for part in (p for p in self.parts if not p.npu):
            if absent := [graph.tensors[i].name for i in (*part.inputs, *part.outputs) if i not in values]:
                raise DeviceError(f"the reference gives no values of {absent[0]!r}, which the core needs")
            fed = [values[i] for i in part.inputs]
            try:
                found, on = self._on_core(part, fed, board)
            except ToolMissing as missing:
                self.options.progress.warn(
                    f"{target.name}: not proven in the emulator: {missing.message}; {missing.hint}"
                )
                board = load(HOST)
                found, on = self._on_core(part, fed, board)
            executed |= dict(zip(part.outputs, found, strict=True))
        npu = sorted({n for part in self.parts if part.npu for n in part.operators})
        outputs = [executed.get(i, values[i]) for i in graph.main.outputs]
        partial = Partial(executed, {i: values[i] for i in executed}, tuple(npu), self._words(), on if executed else "")
        return Run(outputs, Trace(Source.HOST, self.bundle.manifest["runtime"]), {"threads": 1}, partial)

    def _on_core(self, part: Part, fed: Sequence[NDArray[Any]], board: Target) -> tuple[list[NDArray[Any]], str]:
        """The results of a part's C on a board, and where it ran."""
        graph = structure.extracted(self.bundle.graph, part)
        backend = C99()
        with sandbox.scratch() as folder:
            tflite.write(graph, folder / "model.tflite")
            (folder / "artifact").mkdir()
            plan = core.planned(self.bundle.graph, part, board)
            artifact = backend.build(plan, Request(folder / "model.tflite", folder / "artifact"))
            manifest = {
                **self.bundle.manifest, "target": board.name, "backend": backend.name, "runtime": artifact.runtime,
                "execution": artifact.execution.json(), "inputs": [t.json() for t in graph.inputs],
                "outputs": [t.json() for t in graph.outputs],
            }  # fmt: skip
            (on, *_) = provers(board, artifact.execution)
            shown = f"{on} of {board.name}" if board.mcu else on
            return once(get_runner(on), Bundle(folder, manifest), fed, RunOptions(), self.options).outputs, shown

    def _words(self) -> str:
        words = "the compiled network has the network's inputs, outputs and operators"
        return words + (", and is what vela makes of it again, byte for byte" if self.again else "")


class VelaRunner(Defaults):
    """Checks bundles for Ethos-U, and executes the part of them that does not run on the NPU."""

    name = "vela"
    proves = True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`: only bundles for Ethos-U."""
        return None if execution.prover == self.name else Refusal("the bundle is not for Ethos-U")

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Without]:
        """See :class:`edgekit.runners.Runner`."""
        path = bundle.artifact / NETWORK
        if not path.is_file():
            raise DeviceError(f"the bundle has no artifact/{NETWORK}", "compile it again")
        data = path.read_bytes()
        again = compiler.ENVIRONMENT.interpreter() is not None
        try:
            parts = structure.parts(bundle.graph, data)
            if again:
                compiled = compiler.compile(bundle.graph, bundle.target.neural)
                checked(bundle.graph, compiled)
                if compiled.data != data:
                    raise structure.Different("vela makes another one of the network")
            wrong = _code_differs(bundle, parts)
        except (structure.Different, ModelError) as error:
            parts, wrong = (), f"artifact/{NETWORK} is not the bundle's network: {error.message}"
        yield Without(bundle, parts, again, options, wrong)


def _code_differs(bundle: Bundle, parts: Sequence[Part]) -> str:
    """Which file of C is not that of the parts on the core; empty if none is."""
    for number, part in enumerate(p for p in parts if not p.npu):
        code = core.code(bundle.graph, part, bundle.target, number)
        file = bundle.artifact / core.FOLDER / f"{code.name}.c"
        if not file.is_file() or file.read_text() != code.code:
            return f"artifact/{core.FOLDER}/{code.name}.c is not the C of its operators"
    return ""
