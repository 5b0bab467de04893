"""The README of a bundle says how to run it where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit import target
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.bundle.readme import OPENCL_NEEDS, readme

TENSOR = {"name": "image", "dtype": "int8", "shape": [1, 4], "quantization": {"scale": 0.5, "zero_point": -3}}
PLAIN = {"name": "scores", "dtype": "float32", "shape": [1, 2], "quantization": None}


def text_for(board: str, execution: Execution, **fields: Any) -> str:
    manifest = {
        "model": {"name": "net"}, "recipe": {"name": "int8"}, "runtime": "litert-2.3", "edgekit": "0.1",
        "inputs": [TENSOR], "outputs": [PLAIN], "backend": "litert", "tools": {}, **fields,
    }  # fmt: skip
    return readme(manifest, target.load(board), execution)


RUNTIME = Execution(Kind.RUNTIME, runner_command("lib.so", model=True), "lib.so")
LIBRARY = Execution(Kind.LIBRARY, runner_command("network.so", model=False), "network.so")
PROGRAM = Execution(Kind.PROGRAM, runner_command("", model=False))
HANDOVER = Execution(Kind.HANDOVER, ("sh", "artifact/build.sh"), prover="onnx")


def test_what_every_bundle_says() -> None:
    text = text_for("rpi4", RUNTIME)
    assert text.startswith("# net, recipe int8, for rpi4\n")
    assert "Runtime: litert-2.3. Built by edgekit 0.1." in text
    rows = ["| Name | Dtype | Shape | Quantization |", "|---|---|---|---|"]
    inputs = [*rows, "| image | int8 | [1, 4] | real = 0.5 * (q - -3) |"]
    outputs = [*rows, "| scores | float32 | [1, 2] |  |"]
    assert "## Inputs\n" + "\n".join(inputs) + "\n\n## Outputs\n" + "\n".join(outputs) + "\n" in text
    assert "`golden.npz`" in text and "SHA-256" in text


MARKS = {
    "python3 artifact/run.py\n": "LiteRT from Python",
    "compiled to code for this board": "compiled",
    "needs no runtime and runs on one thread": "alone",
    "it needs the CUDA driver": "CUDA",
    OPENCL_NEEDS: "OpenCL",
    "sh artifact/build.sh": "engine",
    "--on ssh://user@board": "ssh",
    "edgetpu_compiler -s": "vendor's compiler",
    "artifact/network_edgetpu.tflite": "Edge TPU",
    "Android Studio": "app",
    "adb push artifact/edgekit-run": "native program",
    "swift run sample": "iPhone",
}


@pytest.mark.parametrize(
    ("board", "execution", "fields", "expected"),
    [
        ("rpi4", RUNTIME, {}, {"LiteRT from Python", "ssh"}),
        ("rpi4", LIBRARY, {}, {"compiled", "alone", "ssh"}),
        ("rpi4", Execution(), {}, set()),
        ("rpi4", RUNTIME, {"backend": "edgetpu"}, {"LiteRT from Python", "ssh"}),
        ("coral-edgetpu", Execution(), {"backend": "null"}, set()),
        ("coral-edgetpu", Execution(), {"backend": "edgetpu"}, {"vendor's compiler", "Edge TPU"}),
        ("coral-edgetpu", Execution(), {"backend": "edgetpu", "tools": {"edgetpu_compiler": "16"}}, {"Edge TPU"}),
        ("mali-g610", LIBRARY, {"runtime": "opencl"}, {"compiled", "OpenCL", "ssh"}),
        ("jetson-orin-nano", LIBRARY, {"runtime": "cuda-f16"}, {"compiled", "CUDA", "ssh"}),
        ("jetson-orin-nano", HANDOVER, {"runtime": "tensorrt"}, {"engine"}),
        ("android-arm64", Execution(), {}, {"app"}),
        ("android-arm64", PROGRAM, {}, {"app", "native program"}),
        ("ios", Execution(Kind.HANDOVER, ("python3", "artifact/verify_on_mac.py"), prover="mil"), {}, {"iPhone"}),
    ],
)
def test_how_to_run_it(board: str, execution: Execution, fields: dict[str, Any], expected: set[str]) -> None:
    text = text_for(board, execution, **fields)
    assert {meaning for mark, meaning in MARKS.items() if mark in text} == expected
    if execution.command and execution.kind is not Kind.HANDOVER and board != "android-arm64":
        assert "\n    " + " ".join(execution.command) + "\n" in text


def test_commands_for_a_phone_can_be_pasted() -> None:
    text = text_for("android-arm64", PROGRAM)
    assert "`artifact/edgekit-run` is the network" in text
    assert "    adb push artifact/edgekit-run in.bin /data/local/tmp/\n" in text
    assert "./edgekit-run --inputs in.bin --outputs out.bin --samples 1'" in text
    ios = Execution(Kind.HANDOVER, ("python3", "artifact/verify_on_mac.py"), prover="mil")
    assert "\n    python3 artifact/verify_on_mac.py\n" in text_for("ios", ios)
