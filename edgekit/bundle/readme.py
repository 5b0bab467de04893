"""The README of every bundle."""

from __future__ import annotations

from typing import Any

from edgekit.bundle.execution import Execution, Kind
from edgekit.target import BoardKind, Target

BUILD = "build.sh"
"""The script of a hand-over, which runs on the device instead of a network."""
OPENCL_NEEDS = "it needs the GPU's OpenCL driver, which builds the kernels when the program starts"

_SOURCE = {
    Kind.HLS: """## Synthesis
`artifact/hls` is a project for Vitis HLS. Call the vendor's tools in a copy of it:

    vitis-run --mode hls --tcl build_prj.tcl
""",
    Kind.LOGIC: """## Synthesis
`artifact/rtl` is the network as Verilog; its top module is `edgekit_network`. `clk` is the clock, `x` all inputs and
`y` all outputs, eight bits per element, the first in the lowest bits. Outputs are there one cycle later than
the `stages` that `artifact/logic.json` tells.
""",
}
"""What a vendor's tools do with an artifact."""
_STRANGERS = """Run `edgekit verify FOLDER` before, if the bundle comes from somebody else: it compares every file of
`artifact/` with what edgekit writes for this network, because the vendor's tools run scripts, and a simulation does not
see all that they read.
"""


def readme(manifest: dict[str, Any], target: Target, execution: Execution) -> str:
    """Return the README of a bundle with this manifest."""

    def table(tensors: list[dict[str, Any]]) -> str:
        rows = []
        for t in tensors:
            q = t["quantization"]
            scale = f"real = {q['scale']:.9g} * (q - {q['zero_point']})" if q else ""
            rows.append(f"| {t['name']} | {t['dtype']} | {t['shape']} | {scale} |")
        return "\n".join(["| Name | Dtype | Shape | Quantization |", "|---|---|---|---|", *rows])

    name = f"{manifest['model']['name']}, recipe {manifest['recipe']['name']}, for {target.name}"
    on_device = _on_device(manifest, target, execution)
    return f"""# {name}

{target.description}. Runtime: {manifest["runtime"]}. Built by edgekit {manifest["edgekit"]}.

## Inputs
{table(manifest["inputs"])}

## Outputs
{table(manifest["outputs"])}

{on_device}
## Contents
- `model.tflite`: the network as it was compiled
- `artifact/`: the files that run it on the target
- `golden.npz`: inputs and the reference's outputs; `edgekit verify` checks them
{_material(manifest)}- `profile.json`: the estimated latency and energy, with intervals
- `manifest.json`: the origin of everything, and the SHA-256 of every file
"""


def _material(manifest: dict[str, Any]) -> str:
    if not manifest.get("task"):
        return ""
    return "- `material.npz`, `decisions.json`: what golden inputs were made of, and what the reference decides on it\n"


def _on_device(manifest: dict[str, Any], target: Target, execution: Execution) -> str:
    """Return how to run it on the device: with Python if LiteRT runs the model, otherwise without."""
    run, runtime = execution.command, manifest["runtime"]
    if target.kind is BoardKind.PHONE:
        return _on_phone(execution)
    if target.kind is BoardKind.ACCELERATOR and manifest["backend"] == "edgetpu":
        return _on_edgetpu("edgetpu_compiler" in manifest["tools"])
    if execution.kind is Kind.NPU:
        return _on_npu()
    if execution.kind in _SOURCE:
        return f"{_SOURCE[execution.kind]}\n{_STRANGERS}"
    if not run:
        return ""
    if execution.kind is Kind.HANDOVER:
        return _engine()
    if execution.kind is Kind.RUNTIME:
        first = """Copy this folder to the device and check it there with Python and numpy
(`sudo apt-get install python3-numpy`). If the system's C library is too old for `edgekit-run`,
it uses ai-edge-litert or tflite-runtime instead:

    python3 artifact/run.py

Or run it without Python, on raw tensors"""
    else:
        needs = "it needs no runtime" if execution.threads else "it needs no runtime and runs on one thread"
        if target.kind is BoardKind.GPU:
            cuda = runtime.startswith("cuda")
            needs = "it needs the CUDA driver" if cuda else OPENCL_NEEDS
        first = f"""The network is compiled to code for this board; {needs}.
Copy this folder to the device and run it on raw tensors"""
    return f"""## Running it on the device
{first} (each input's little-endian bytes back to back, one sample after another):

    {" ".join(run)}

From a machine with edgekit:

    edgekit verify FOLDER --on ssh://user@board
    edgekit run FOLDER --on ssh://user@board
    edgekit profile FOLDER --on ssh://user@board
"""


def _on_edgetpu(compiled: bool) -> str:
    """Return how to run it on an Edge TPU, including the vendor's compiler if that was not installed."""
    network = """`artifact/network_edgetpu.tflite` is the network for the Edge TPU, compiled from
`artifact/network.tflite`."""
    if not compiled:
        network = """`artifact/network.tflite` is ready for the vendor's compiler, which was not installed when this
bundle was built. It runs on x86-64 Linux. Call it in a copy of this folder, because `edgekit verify`
treats an added file as damage:

    edgetpu_compiler -s -o artifact artifact/network.tflite"""
    return f"""## Running it on the device
{network}

Copy the folder to the machine with the accelerator, and check it there. This needs Python, numpy, ai-edge-litert or
tflite-runtime, and the library `libedgetpu.so.1` (package `libedgetpu1-std`):

    python3 artifact/run.py --delegate libedgetpu.so.1 --model artifact/network_edgetpu.tflite

Without the accelerator, `edgekit verify FOLDER` checks `artifact/network.tflite` on any machine.
"""


def _on_npu() -> str:
    """Return where the instructions for an NPU are."""
    return """## Running it on the device
`artifact/network_vela.tflite` is the network compiled for the NPU. `artifact/DEPLOY.md` says which driver and boards
it is for, how it gets there, and which operators run on the core beside the NPU; `artifact/vela.json` has the placement
and the cycles of each operator. Nothing but the board executes it as a whole: `edgekit verify FOLDER` checks its
structure, and runs the core's operators.

"""


def _engine() -> str:
    """Return how to build the TensorRT engine."""
    return f"""## Building the engine on the device
An engine works only with one GPU and one version of TensorRT. Copy this folder to the device, build the engine there,
and check it with the golden samples:

    sh artifact/{BUILD}
    python3 artifact/check.py

`artifact/shapes.json` lists the engine's inputs and outputs, which are float32, and how they
correspond to the network's integers.
`edgekit verify FOLDER` checks `artifact/model.onnx`, from which the engine is built, on any machine.

"""


def _on_phone(execution: Execution) -> str:
    """Return how to run it on a phone: the app's project, and the native program or an iPhone's package."""
    run = execution.command
    if execution.kind is Kind.HANDOVER:
        return _on_iphone(run)
    app = """## Running it on the phone
`artifact/app` is a project for Android Studio: an app that runs the model on CPU and GPU, and compares the outputs with
the reference's.
`manifest.json` lists under `delegates` which operators each accelerator supports, and why not the others.
"""
    if not run:
        return app + "\n"
    return f"""{app}
`artifact/{run[0].split("/")[-1]}` is the network compiled to a single program for the phone's shell, which needs
no runtime. With edgekit and USB debugging enabled:

    edgekit verify FOLDER --on adb:SERIAL
    edgekit profile FOLDER --on adb:SERIAL

Manually, on raw tensors (each input's little-endian bytes back to back, one sample after another):

    adb push {run[0]} in.bin /data/local/tmp/
    adb shell 'cd /data/local/tmp && ./{run[0].split("/")[-1]} {" ".join(run[1:])}'
    adb pull /data/local/tmp/out.bin
"""


def _on_iphone(run: tuple[str, ...]) -> str:
    return f"""## Running it on the phone
`artifact/network.mlpackage` is the network for Core ML; `artifact/network.json` describes its inputs and outputs.
`artifact/app` is a Swift package that runs it: on a Mac, `swift run sample` in that folder; on a phone, in an app of
your own. `manifest.json` lists under `delegates` what is known about each operator on the Neural Engine and the GPU.

Only a Mac shows what Core ML itself computes, and where (numpy and coremltools must be installed):

    {" ".join(run)}

From a machine with edgekit:

    edgekit verify FOLDER --on mil
"""
