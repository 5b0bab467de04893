"""The TVM backend through the command line: compiled, proven, profiled, refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.api import doctor
from edgekit.backends import Request, planned
from edgekit.backends.tvm import TVM
from edgekit.backends.tvm.processors import Processor
from edgekit.bundle import digest
from edgekit.codegen.schedule.machine import Machine
from edgekit.errors import ModelError, ToolMissing
from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.installed import needed
from tests.networks.small import Builder, classifier, convolutional, digits, unary

needed("tvm", "tvm")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digit classifier and digits to calibrate on."""
    folder = tmp_path_factory.mktemp("digits")
    tflite.write(classifier(folder), folder / "digits.tflite")
    x, y = digits(200)
    np.savez(folder / "digits.npz", x=x[..., np.newaxis], y=y)
    return folder


@pytest.mark.slow
@pytest.mark.emulator
def test_boards(network: Path, tmp_path: Path) -> None:
    """int8 for both Raspberry Pis: proven in the emulator, a profile row for each operator, the same every time."""
    arguments = ["--backend", "tvm", "--recipe", "int8", "--data", network / "digits.npz", "--json"]
    boards = ["--target", "rpi4", "--target", "rpi5"]
    made = edgekit("compile", network / "digits.tflite", *arguments, *boards, "--out", tmp_path / "first").json
    again = edgekit("compile", network / "digits.tflite", *arguments, *boards, "--out", tmp_path / "again").json
    instructions = []
    for first, second in zip(made["bundles"], again["bundles"], strict=True):
        one, two = Path(first["path"]), Path(second["path"])
        assert digest(one / "artifact" / "network.so") == digest(two / "artifact" / "network.so")
        assert edgekit("verify", one, "--on", "emulator").code == 0
        profiles = [edgekit("profile", b, "--on", "emulator", "--json").json for b in (one, two)]
        assert profiles[0]["operators"] == profiles[1]["operators"]
        counted = [row for row in profiles[0]["operators"] if row["index"] is not None]
        graph = tflite.read(one / "model.tflite")
        assert [row["op"] for row in counted] == [o.op for o in graph.operators if o.op != "RESHAPE"]
        assert all(row["instructions"] > 0 for row in counted)
        instructions.append(profiles[0]["instructions"])
    assert instructions[1] < instructions[0], "rpi5 has dot products of bytes, rpi4 has not"


@pytest.mark.slow
def test_this_machine_float_and_int8(network: Path, tmp_path: Path) -> None:
    for recipe in ("as-is", "int8"):
        data = ["--data", network / "digits.npz"]
        bundle = edgekit(
            "compile", network / "digits.tflite", "--backend", "tvm", "--target", "host", "--recipe", recipe, *data,
            "--out", tmp_path, "--json",
        ).json["bundles"][0]  # fmt: skip
        assert bundle["parity"]["ok"] and bundle["parity"]["on"] == "host"
        assert bundle["accuracy"]["compiled"] > 0.9
        assert edgekit("verify", bundle["path"], "--on", "host").code == 0


def test_operators_without_a_kernel_are_refused_by_name(tmp_path: Path) -> None:
    lrn = unary("LOCAL_RESPONSE_NORMALIZATION", (1, 4, 4, 8), options="LocalResponseNormalization")
    tflite.write(lrn, tmp_path / "net.tflite")
    done = edgekit("compile", tmp_path / "net.tflite", "--backend", "tvm", "--target", "rpi5", "--out", tmp_path / "b")
    refused(done, 3, "LOCAL_RESPONSE_NORMALIZATION", "no kernel", "litert")
    b = Builder()
    x = b.tensor((1, 4), "int16", name="x")
    y = b.add("ADD", (x, x), (1, 4), "int16", options="Add")
    tflite.write(b.graph((x,), (y,)), tmp_path / "integers.tflite")
    done = edgekit("compile", tmp_path / "integers.tflite", "--backend", "tvm", "--target", "rpi5", "--out", tmp_path)
    refused(done, 3, "ADD", "int16", "litert")


def test_without_tvm_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tvm", None)
    planned = TVM().plan(convolutional(), target.load("rpi5"))
    with pytest.raises(ToolMissing, match="TVM is not installed") as caught:
        TVM().build(planned, Request(tmp_path / "m", tmp_path))
    assert "edgekit[tvm]" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_doctor_lists_tvm() -> None:
    found = next(check for check in doctor.checks() if check.name == "apache-tvm")
    assert found.ok and "tvm" in found.purpose.lower()


def test_a_kernel_that_tvm_cannot_compile_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TVM's own errors become one line; so does its death."""
    from edgekit.backends import tvm as backend

    llvm = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "generic", "mattr": ["+neon"]}
    odd = Processor(llvm, Machine(4, 32, "sdot"))  # without +dotprod, so LLVM ends the process
    monkeypatch.setattr(backend, "processor", lambda target: odd)
    tflite.write(convolutional(), tmp_path / "net.tflite")
    made = edgekit(
        "compile", tmp_path / "net.tflite", "--backend", "null", "--recipe", "int8", "--data", "random", "--target",
        "host", "--out", tmp_path / "b", "--json",
    ).json  # fmt: skip
    graph = tflite.read(Path(made["bundles"][0]["path"]) / "model.tflite")
    with pytest.raises(ModelError, match="TVM"):
        backend.pieces(planned(backend.TVM(), graph, target.load("rpi5")))
