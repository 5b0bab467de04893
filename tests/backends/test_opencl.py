"""The OpenCL backend, on PoCL: folded operators, what is counted, what is refused; :mod:`tests.ops` has the rest."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import edgekit
from edgekit import bundle, plugins, target
from edgekit.backends import unsupported
from edgekit.backends.gpu import kernels, plan
from edgekit.backends.gpu.dialect import OPENCL
from edgekit.codegen import loops
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule import gpu
from edgekit.errors import DeviceError, ModelError, ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.graph.stats import statistics
from edgekit.profiling.gpu import Device
from edgekit.profiling.measured import Measured
from edgekit.runners import OperatorTrace, Run, RunOptions, Source, Trace, once
from edgekit.runners.pocl import PoclRunner
from edgekit.tools import toolchain
from tests.networks.building import RELU, Pictures, given
from tests.networks.chains import chains
from tests.networks.mobilenet import mobilenet_v2
from tests.networks.small import Builder, convolutional
from tests.ops.cases import FLOAT_FAMILIES, family

BOARD = "mali-g610"


def compiled(graph: Graph, folder: Path, recipe: str = "as-is", backend: str = "opencl") -> bundle.Bundle:
    """A bundle that was proven on PoCL; edgekit refuses to write any other."""
    if not toolchain.load("pocl").found():
        pytest.skip("PoCL is not installed")
    tflite.write(graph, folder / "net.tflite")
    made = edgekit.compile(folder / "net.tflite", targets=[BOARD], recipe=recipe, backend=backend, out=folder / "out")[
        0
    ]
    assert made.parity.ok and made.parity.on == "pocl"
    return bundle.load(made.path)


def run(found: bundle.Bundle) -> Run:
    inputs = given(found.graph, samples=1)
    return once(PoclRunner(), found, inputs, RunOptions(profile=True))


@pytest.mark.slow
def test_chains(tmp_path: Path) -> None:
    found = compiled(chains(), tmp_path)
    parity = found.manifest["parity"]
    assert parity["by"] == "network" and 0 < parity["max_relative"] < 1e-4


@pytest.mark.parametrize("name", ["choices", "lookups"])
def test_other_types_than_floats_are_refused_by_name(name: str) -> None:
    graph = family(name)
    found = unsupported(plugins.get("backends", "opencl"), graph, target.load(BOARD))
    assert found and all("OpenCL backend has no kernel" in one.reason for one in found)
    made = {n: graph.tensors[o.outputs[0]].dtype for n, o in enumerate(graph.operators) if o.op != "RESHAPE"}
    whole = {n for n, dtype in made.items() if dtype != "float32"}
    assert whole <= {one.index for one in found}
    assert {one.operator for one in found} == {graph.operators[one.index].op for one in found}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    return compiled(convolutional(), tmp_path_factory.mktemp("small"))


def test_every_kernel_is_counted_and_belongs_to_an_operator(small: bundle.Bundle) -> None:
    trace = run(small).trace
    stats = {row.index: row for row in statistics(small.graph).operators}
    seen = [index for row in trace.operators for index in (row.index, *row.fused)]
    assert None not in seen and sorted(seen) == sorted(set(seen))
    assert {i for i, row in stats.items() if row.macs} <= set(seen)
    for row in trace.operators:
        assert row.index is not None and row.latency_ms is None and row.name
        macs = sum(stats[i].macs for i in (row.index, *row.fused))
        if macs:
            assert row.counts["flops"] == 2 * macs
            assert row.counts["read_bytes"] >= stats[row.index].weights_bytes
    launches = plan.read(small.artifact / plan.PLAN)
    assert trace.counts["launches"] == len(launches) == sum(row.counts["launches"] for row in trace.operators)
    assert trace.counts["work_items"] == sum(launch.work_items for launch in launches)


def test_the_profile_is_an_estimate_from_counts(small: bundle.Bundle) -> None:
    profile = edgekit.profile(small.path, on="pocl")
    assert profile.source == "emulator" and "PoCL" in profile.basis
    assert profile.latency_ms.low < profile.latency_ms.value < profile.latency_ms.high
    assert math.isclose(sum(row.share for row in profile.operators), 1)
    assert all(row.counts["launches"] >= 1 and row.kernels for row in profile.operators)
    assert edgekit.profile(small.path).source == "estimate"


def test_float16_weights_are_kept_so(small: bundle.Bundle, tmp_path: Path) -> None:
    found = compiled(convolutional(), tmp_path, recipe="float16")
    whole, half = ((b.artifact / plan.WEIGHTS).stat().st_size for b in (small, found))
    assert half < 0.6 * whole
    assert "half" in (found.artifact / OPENCL.source).read_text()
    assert [row.index for row in run(found).trace.operators if row.counts["flops"]]


def test_float16_activations_halve_the_traffic(small: bundle.Bundle, tmp_path: Path) -> None:
    found = compiled(convolutional(), tmp_path, backend="opencl-f16")
    parity = found.manifest["parity"]
    assert 1e-5 < parity["max_relative"] < 1e-2 and "0.01" in parity["rule"] and parity["top1_flips"] == 0
    whole, half = (run(b).trace.counts for b in (small, found))
    assert half["flops"] == whole["flops"] and half["launches"] == whole["launches"]
    assert (
        0.5 <= (half["read_bytes"] + half["written_bytes"]) / (whole["read_bytes"] + whole["written_bytes"]) < 0.65
    )  # inputs stay float32


@pytest.mark.slow
def test_chains_in_float16(tmp_path: Path) -> None:
    rule = compiled(chains(), tmp_path, backend="opencl-f16").manifest["parity"]["rule"]
    assert "float within 0.01" in rule


@settings(deadline=None)
@hypothesis.given(st.lists(st.floats(-1e5, 1e5, width=32), min_size=1, max_size=20))
def test_constants_lose_nothing_unless_asked_to(values: list[float]) -> None:
    given_, exact = np.array(values, np.float32), plan.Form(weights="exact")
    assert np.array_equal(plan.stored_as(given_, exact).astype(np.float32), given_)
    assert plan.stored_as(given_, plan.Form()).dtype == np.float32
    half = plan.stored_as(given_, plan.Form("float16", "float16"))
    assert np.all(np.isfinite(half)) and np.allclose(half, given_, 1e-3, 1e-7)


CLANG = next((c for c in ("clang", "clang-19", "clang-16", "clang-15", "clang-14") if shutil.which(c)), None)


@pytest.mark.skipif(CLANG is None, reason="clang is not installed")
@pytest.mark.parametrize("form", [plan.Form(), plan.Form("float16", "float16")])
@pytest.mark.parametrize("name", [*FLOAT_FAMILIES, "chains"])
def test_kernels_are_plain_opencl_c_1_2(name: str, form: plan.Form, tmp_path: Path) -> None:
    """No extension, no warning: what a driver's compiler may be expected to take."""
    graph = chains() if name == "chains" else family(name)
    plan.write(gpu.schedule(lower(graph), 256), form, "opencl 1", tmp_path, OPENCL)
    flags = "-x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra -pedantic -Werror"
    command = [str(CLANG), *flags.split(), "-target", "spir64", str(tmp_path / OPENCL.source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    assert "pragma" not in (tmp_path / OPENCL.source).read_text()


def test_the_same_network_gives_the_same_bytes(small: bundle.Bundle, tmp_path: Path) -> None:
    again = compiled(convolutional(), tmp_path)
    assert again.manifest["files"] == small.manifest["files"]


def test_the_host_program_is_for_the_board(small: bundle.Bundle) -> None:
    library = (small.artifact / "network.so").read_bytes()
    assert library[:4] == b"\x7fELF" and int.from_bytes(library[18:20], "little") == 183  # AArch64
    assert b"libOpenCL.so.1" in library and str(Path.cwd()).encode() not in library


@pytest.mark.emulator
def test_a_board_without_a_driver_says_so(small: bundle.Bundle, tmp_path: Path) -> None:
    """The programs that go to the board, run as on one that has no OpenCL."""
    (tmp_path / "in.bin").write_bytes(bytes(sum(t.nbytes for t in small.graph.inputs)))
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", *small.manifest["run"]]
    command = [str(small.path / part) if part.startswith("artifact/") else part for part in command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode not in (0, -11)
    assert done.stderr.startswith("edgekit-run: there is no OpenCL here: libOpenCL.so.1 cannot be loaded")


def test_times_of_a_board_have_its_power(small: bundle.Bundle) -> None:
    rows = [OperatorTrace(0, "conv", latency_ms=2.0)]
    trace = Trace(Source.DEVICE, "opencl 1 on Mali-G610", latency_ms=[2.0, 2.1, 1.9], operators=rows)
    profile = Measured().profile(small.graph, trace, target.load(BOARD), {"threads": 1})
    assert profile.power_w.value == 6.5 and math.isclose(profile.energy_mj.value, 2.0 * 6.5)


def test_integer_networks_are_refused(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    for recipe in ("int8", "int8-dynamic"):
        with pytest.raises(
            ModelError, match=r"operator \d+ \w+: (GPU backends do not support integer networks|its weights)"
        ) as refused:
            edgekit.compile(tmp_path / "net.tflite", targets=[BOARD], recipe=recipe, data="random", out=tmp_path / "b")
        assert "float16" in refused.value.hint
    assert not (tmp_path / "b").exists()


def test_operators_without_a_kernel_are_named() -> None:
    b = Builder()
    x = b.tensor((1, 4, 4, 8), name="x")
    y = b.add("LOCAL_RESPONSE_NORMALIZATION", (x,), (1, 4, 4, 8), options="LocalResponseNormalization")
    missing = unsupported(plugins.get("backends", "opencl"), b.graph((x,), (y,)), target.load(BOARD))
    assert [(m.index, m.operator) for m in missing] == [(0, "LOCAL_RESPONSE_NORMALIZATION")]
    assert "OpenCL" in missing[0].reason


def test_without_pocl_the_command_that_gets_it_is_said(small: bundle.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    there = toolchain.load("pocl")
    absent = toolchain.Tool((), "", "", there.tools[0].debian, (), ("/etc/OpenCL/vendors/absent.icd",))
    monkeypatch.setattr(toolchain, "load", lambda name: toolchain.Toolchain(name, there.purpose, (absent,)))
    with pytest.raises(ToolMissing, match="absent") as missing:
        run(small)
    assert "pocl-opencl-icd" in missing.value.hint


def test_a_machine_without_a_device_says_so(small: bundle.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.runners.pocl.DRIVER", "/etc/OpenCL/vendors/absent.icd")
    with pytest.raises(DeviceError, match="no OpenCL device"):
        run(small)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [(plan.PLAN, "edgekit-plan 2\n", "damaged|version"), (OPENCL.source, "kernel void", "kernels.cl"),
     (plan.WEIGHTS, "", "weights.bin")],
)  # fmt: skip
def test_damaged_files_are_refused(small: bundle.Bundle, name: str, text: str, message: str, tmp_path: Path) -> None:
    shutil.copytree(small.path, tmp_path / "copy")
    (tmp_path / "copy" / "artifact" / name).write_text(text)
    with pytest.raises(DeviceError, match=message):
        run(bundle.load(tmp_path / "copy"))


def test_bundles_of_other_backends_are_refused(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    other = edgekit.compile(tmp_path / "net.tflite", targets=["host"], backend="litert", out=tmp_path)[0]
    with pytest.raises(DeviceError, match=r"has no artifact/network\.plan") as caught:
        run(bundle.load(other.path))
    assert caught.value.hint == "PoCL runs bundles of the backend opencl only"


def test_a_convolution_compares_coordinates_only_where_it_reads_beyond() -> None:
    texts = []
    for valid in (False, True):
        n = Pictures()
        x = n.tensor((1, 8, 8, 8))
        n.conv(x, 8, valid=valid, activation=RELU)
        program = gpu.schedule(lower(n.all_results(x)), 1)
        nest = next(call.loops for call in program.calls if isinstance(call.loops, loops.Conv))
        arguments = [(False, "float32"), (True, "float32"), (True, "float32")]
        texts.append(kernels.make(nest, "k", arguments)[0])
    padded, inside = texts
    assert ">= 0 &&" in padded and ">= 0 &&" not in inside


def test_a_kernel_too_small_to_fill_the_gpu_is_slower() -> None:
    device = Device(lanes=256, peak=1e11, bandwidth=1e10, launch_s=1e-5)
    counts = {"launches": 1, "flops": 10**7, "read_bytes": 4, "written_bytes": 4, "work_items": 256}
    full, bound = device.seconds(counts)
    assert bound == "compute" and math.isclose(full, 1e-4 + 1e-5)
    few, _ = device.seconds({**counts, "work_items": 64})
    assert math.isclose(few, 4e-4 + 1e-5)
    moved, bound = device.seconds({**counts, "flops": 0, "read_bytes": 10**8})
    assert bound == "memory" and moved > 1e-2
    assert device.seconds({"launches": 0, "flops": 0, "read_bytes": 0, "written_bytes": 0})[0] == 0


@pytest.mark.slow
def test_mobilenet_v2(tmp_path: Path) -> None:
    found = compiled(mobilenet_v2(96), tmp_path)
    assert found.manifest["parity"]["by"] == "network" and found.manifest["parity"]["max_relative"] < 1e-4
    trace = run(found).trace
    assert trace.counts["launches"] == 55 and len(trace.operators) == 55  # 52 convolutions, mean, dense, softmax
    assert sum(len(row.fused) for row in trace.operators) == 10  # the residual additions
