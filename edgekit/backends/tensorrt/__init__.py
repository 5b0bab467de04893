"""The hand-over to TensorRT: the network as ONNX, a script that builds the engine on the device, and what to expect.

Engines fit one GPU and one version of TensorRT, so they are built where they run. What is proven here is the ONNX file,
by ONNX Runtime (:mod:`edgekit.runners.onnx`); ``check.py`` proves the engine on the device with the same samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit import resources
from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends import runner_build as build
from edgekit.bundle.execution import Execution, Kind
from edgekit.files.documents import dumps, write_text
from edgekit.passes.symmetric import asymmetric
from edgekit.reference.hybrid import hybrid

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor
    from edgekit.target import Target

MODEL, SHAPES = "model.onnx", "shapes.json"
SCRIPTS = ("build.sh", "check.py")
RUNTIME = "tensorrt"
BOUNDS = {"float32": 1e-2, "float16": 2e-2, "int8": 5e-2}
"""What ``check.py`` allows on the device, of the largest magnitude: TensorRT computes float32 with ten bits of fraction
on GPUs that have TF32, and differences of int8 roundings add up along a network. Estimated, no device was at hand."""


SYMMETRIC = "make the ranges symmetric: --recipe symmetric, or int8-symmetric for a float model"

INTEGERS = "hand it to --backend tensorrt, with --recipe symmetric"


class TensorRT(Defaults):
    """Writes float networks as they are, and int8 networks with explicit quantization, symmetric for TensorRT."""

    name = "tensorrt"
    float16 = False

    def exactness(self, graph: Graph) -> Exactness:
        """See :class:`edgekit.backends.Backend`."""
        return Exactness(half_activations=self.float16)

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse operators that edgekit does not write to ONNX, and types that TensorRT does not take."""
        from edgekit.writers import onnx

        cure = "compile the float model: --recipe float32 or int8"
        mixed = [n for n in range(len(graph.operators)) if hybrid(graph, n)]
        if mixed:
            reason = "its weights are integers and its activations are not, which TensorRT does not take"
            return [Unsupported(n, graph.operators[n].op, reason, cure) for n in mixed]
        missing = [Unsupported(n, o.op, reason, "use --backend cuda") for n, o, reason in onnx.obstacles(graph)]
        if shifted := asymmetric(graph):
            index = shifted[0]
            makers = [n for n, o in enumerate(graph.operators) if index in (*o.inputs, *o.outputs)]
            name = graph.operators[makers[0]].op if makers else ""
            reason = f"{graph.tensors[index].name!r} has a zero point, and TensorRT takes only 0"
            missing.append(Unsupported(makers[0] if makers else 0, name, reason, SYMMETRIC))
        return missing or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        from importlib.metadata import version

        from edgekit.writers import onnx

        graph, target, folder = planned.graph, planned.target, request.folder
        request.progress.step(f"write ONNX for {target.name}")
        ports = onnx.write(graph, folder / MODEL, half=self.float16)
        sides = {
            side: [_port(tensor, name) for tensor, name in zip(tensors, names, strict=True)]
            for side, tensors, names in (
                ("inputs", graph.inputs, ports.inputs),
                ("outputs", graph.outputs, ports.outputs),
            )
        }
        precision = "float16" if self.float16 else "int8" if graph.is_quantized else "float32"
        about = {"schema": 1, "precision": precision, "tolerance": BOUNDS[precision], **sides}
        write_text(folder / SHAPES, dumps(about) + "\n")
        for name in (MODEL, SHAPES):
            (folder / name).chmod(0o644)
        for name in SCRIPTS:
            build.put(resources.folder("firmware_stubs") / "tensorrt" / name, folder, name, 0o755)
        execution = Execution(Kind.HANDOVER, (f"artifact/{SCRIPTS[0]}",), prover="onnx")
        return Artifact({"onnx": version("onnx")}, execution, RUNTIME)


class TensorRTHalf(TensorRT):
    """The same with weights and arithmetic in float16; inputs and outputs stay float32."""

    name = "tensorrt-f16"
    float16 = True

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """See :class:`edgekit.backends.Backend`."""
        if graph.is_quantized:
            first = graph.operators[0].op if graph.operators else ""
            return [Unsupported(0, first, "it is an integer network, which cannot become float16", INTEGERS)]
        return super().plan(graph, target)


def _port(tensor: Tensor, name: str) -> dict[str, Any]:
    """What the engine takes or gives there; ``quantization``: how the bundle's network and samples keep the values."""
    described = tensor.json()
    real = described["quantization"] is not None or tensor.dtype == "float16"
    return {
        "name": name, "tensor": tensor.name, "dtype": "float32" if real else tensor.dtype, "shape": list(tensor.shape),
        "quantization": described["quantization"],
    }  # fmt: skip
