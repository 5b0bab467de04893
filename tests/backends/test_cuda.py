"""The CUDA backend: cubins for each GPU, the emulated driver, what is refused; :mod:`tests.ops` has the operators."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import edgekit
from edgekit import bundle, plugins, target
from edgekit.api import installing
from edgekit.backends import unsupported
from edgekit.backends.cuda import CUBIN, cubin, nvrtc
from edgekit.backends.gpu import plan
from edgekit.backends.gpu.dialect import CUDA
from edgekit.errors import DeviceError, EdgekitError, ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.runners import Run, RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.runners.cuda_emulator import CudaEmulator
from edgekit.runners.host_gpu import HostGpu, found
from edgekit.tools import toolchain
from tests.networks.building import given
from tests.networks.chains import chains
from tests.networks.mobilenet import mobilenet_v2
from tests.networks.small import convolutional

ORIN, XAVIER = "jetson-orin-nano", "jetson-agx-xavier"
ARCHITECTURES = {ORIN: "sm_87", XAVIER: "sm_72"}
pytestmark = pytest.mark.skipif(
    not (toolchain.load("nvrtc").found() and toolchain.load("host-cxx").found()), reason="no NVRTC or no C++ compiler"
)


def compiled(graph: Graph, folder: Path, board: str = ORIN, backend: str = "cuda") -> bundle.Bundle:
    """A bundle that was proven in the emulator; edgekit refuses to write any other."""
    tflite.write(graph, folder / "net.tflite")
    (made,) = edgekit.compile(folder / "net.tflite", targets=[board], backend=backend, out=folder / "out")
    assert made.parity.ok and made.parity.on == "cuda-emulator"
    return bundle.load(made.path)


def run(found: bundle.Bundle) -> Run:
    return once(CudaEmulator(), found, given(found.graph, samples=1), RunOptions(profile=True))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    return compiled(convolutional(), tmp_path_factory.mktemp("small"))


@pytest.fixture
def changed(small: bundle.Bundle, tmp_path: Path) -> bundle.Bundle:
    """A copy to do harm to."""
    shutil.copytree(small.path, tmp_path / "copy")
    return bundle.load(tmp_path / "copy")


@pytest.mark.slow
def test_chains(tmp_path: Path) -> None:
    parity = compiled(chains(), tmp_path).manifest["parity"]
    assert parity["by"] == "network" and 0 < parity["max_relative"] < 1e-5


@pytest.mark.slow
def test_mobilenet_v2(tmp_path: Path) -> None:
    found = compiled(mobilenet_v2(96), tmp_path, XAVIER)
    assert found.manifest["parity"]["by"] == "network" and found.manifest["parity"]["max_relative"] < 1e-4
    assert run(found).trace.counts["launches"] == 55  # 52 convolutions, mean, dense, softmax


@pytest.mark.parametrize("board", ARCHITECTURES)
def test_the_cubin_is_for_the_board_and_has_every_kernel(board: str, tmp_path: Path) -> None:
    found = compiled(convolutional(), tmp_path, board)
    image = (found.artifact / CUBIN).read_bytes()
    functions = {launch.function for launch in plan.read(found.artifact / plan.PLAN)}
    assert image[:4] == b"\x7fELF" and struct.unpack_from("<H", image, 18)[0] == 190  # EM_CUDA
    assert cubin.read(image) == cubin.Cubin(ARCHITECTURES[board], frozenset(functions))
    assert found.manifest["tools"]["nvrtc"] == "11.8" and found.manifest["runtime"] == "cuda 1"
    assert str(tmp_path).encode() not in image


def test_kernels_are_those_of_opencl_behind_a_prelude(small: bundle.Bundle, tmp_path: Path) -> None:
    pytest.importorskip("edgekit.backends.opencl")
    text = (small.artifact / CUDA.source).read_text()
    assert text.startswith(CUDA.head()) and "get_global_id(0) >= " in text
    trace = run(small).trace
    assert trace.counts["launches"] == len(plan.read(small.artifact / plan.PLAN)) and trace.source == "emulator"


def test_the_same_network_gives_the_same_bytes(small: bundle.Bundle, tmp_path: Path) -> None:
    assert compiled(convolutional(), tmp_path).manifest["files"] == small.manifest["files"]


def test_the_profile_is_an_estimate_from_counts(small: bundle.Bundle) -> None:
    profile = edgekit.profile(small.path, on="cuda-emulator")
    assert profile.source == "emulator" and "emulated CUDA driver" in profile.basis and "no kernel" in profile.basis
    assert profile.latency_ms.low < profile.latency_ms.value < profile.latency_ms.high
    assert all(row.counts["work_items"] >= 1 and row.kernels for row in profile.operators)


def test_the_host_program_needs_the_driver_only(small: bundle.Bundle) -> None:
    library = (small.artifact / "network.so").read_bytes()
    assert int.from_bytes(library[18:20], "little") == 183  # AArch64
    assert b"libcuda.so.1" in library and b"cudart" not in library and str(Path.cwd()).encode() not in library


@pytest.mark.emulator
def test_a_board_without_a_driver_says_so_in_one_line(small: bundle.Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(bytes(sum(t.nbytes for t in small.graph.inputs)))
    command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", *small.manifest["run"]]
    command = [str(small.path / part) if part.startswith("artifact/") else part for part in command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode not in (0, -11)
    assert done.stderr == "edgekit-run: there is no CUDA driver here: libcuda.so.1 cannot be loaded\n"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_nvcc_takes_the_source_too(small: bundle.Bundle, tmp_path: Path) -> None:
    """As on a board whose driver refuses the cubin."""
    made = tmp_path / CUBIN
    command = ["nvcc", "-cubin", "-arch=sm_87", "-std=c++17", "-o", made, small.artifact / CUDA.source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "redefined" not in done.stderr, done.stderr[:2000]
    assert cubin.read(made.read_bytes()) == cubin.read((small.artifact / CUBIN).read_bytes())


def other_gpu(image: bytes) -> bytes:
    flags = struct.unpack_from("<I", image, 48)[0]
    return image[:48] + struct.pack("<I", flags & ~0xFF | 75) + image[52:]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [(CUBIN, other_gpu, "is for sm_75, not for sm_87"), (CUBIN, lambda data: data[:40], "damaged"),
     (CUBIN, lambda data: b"\x7fELF" + bytes(60), "not a cubin"),
     (CUBIN, lambda data: data.replace(b".text.k0_conv", b".text.kX_conv"), "no function k0_conv"),
     (CUDA.source, lambda data: data.replace(b"vload4(0, a0", b"nothing(0, a0").replace(b"fma(", b"fmx("),
      "does not compile"),
     (plan.WEIGHTS, lambda data: data[:-4], "weights.bin"),
     (plan.WEIGHTS, lambda data: data + bytes(4), "weights.bin does not have the size"),
     (plan.PLAN, lambda data: b"edgekit-plan 2\n", "plan")],
)  # fmt: skip
def test_damaged_files_are_refused(changed: bundle.Bundle, name: str, change: object, message: str) -> None:
    path = changed.artifact / name
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DeviceError, match=message):
        run(changed)


@pytest.mark.parametrize(
    ("old", "new", "signal"), [("d_at / 4", "d_at / 4 + 100000000", 11), ("w0_at / 4", "w0_at / 4 + 1", 6)]
)
def test_wrong_places_and_crooked_vectors_stop_the_emulator(
    changed: bundle.Bundle, old: str, new: str, signal: int
) -> None:
    text = (changed.artifact / CUDA.source).read_text()
    assert old in text
    (changed.artifact / CUDA.source).write_text(text.replace(old, new))
    with pytest.raises(DeviceError, match=rf"crashed \(signal {signal}\)"):
        run(changed)


@settings(deadline=None, max_examples=30)
@hypothesis.given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_cubins_stumble(data: bytes) -> None:
    for image in (data, b"\x7fELF" + data, b"\x7fELF" + bytes(14) + struct.pack("<H", 190) + data):
        with pytest.raises(DeviceError):
            cubin.check(image, "sm_87", ["k0"])


def test_refusals(tmp_path: Path) -> None:
    backend, board = plugins.get("backends", "cuda"), target.load(ORIN)
    models = Path(__file__).parents[3] / "shared" / "models" / "mlperf_tiny"
    for name in ("kws_int8", "kws_fp32"):  # the second has integer weights
        missing = unsupported(backend, tflite.read(models / f"{name}.tflite"), board)
        assert missing and "float16 or float32" in missing[0].remedy
    with pytest.raises(EdgekitError, match="NVRTC refuses the kernels"):
        nvrtc.compiled("this is no kernel", "sm_87")


def test_bundles_of_other_backends_are_refused(tmp_path: Path) -> None:
    tflite.write(convolutional(), tmp_path / "net.tflite")
    (other,) = edgekit.compile(tmp_path / "net.tflite", targets=["host"], backend="litert", out=tmp_path)
    for runner in ("cuda-emulator", "host-gpu"):
        with pytest.raises(DeviceError, match=r"no artifact/network.plan"):
            once(get_runner(runner), bundle.load(other.path), [], RunOptions())


def test_without_nvrtc_the_command_that_gets_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    there = toolchain.load("nvrtc")
    absent = dataclasses.replace(there.tools[0], module="nvidia_absent.cuda_nvrtc")
    monkeypatch.setattr(toolchain, "load", lambda name: dataclasses.replace(there, tools=(absent,)))
    with pytest.raises(ToolMissing, match="nvidia_absent") as missing:
        nvrtc.compiled("", "sm_87")
    assert "nvidia-cuda-nvrtc-cu11==11.8.89" in missing.value.hint


def test_doctor_installs_it() -> None:
    assert installing.install("cuda") == "installed nvidia-cuda-nvrtc-cu11==11.8.89"  # it is here: nothing is fetched
    assert nvrtc.library().is_file()


def test_another_nvrtc_is_told_from_11_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "LIBRARY", "libnvrtc.so.12")
    with pytest.raises(ToolMissing, match=r"not its version 11\.8"):
        nvrtc.library()


def test_on_the_gpu_of_this_machine(small: bundle.Bundle) -> None:
    try:
        device = found()
    except EdgekitError as error:
        assert isinstance(error, ToolMissing | DeviceError) and error.hint
        pytest.skip(f"no CUDA GPU here: {error.message}")
    inputs, reference = small.golden()
    result = once(HostGpu(), small, inputs, RunOptions(repeat=3, profile=True))
    assert abs(result.outputs[0] - reference[0]).max() <= 1e-4 * abs(reference[0]).max()
    assert str(device["name"]) in str(result.conditions["machine"]) and len(result.trace.latency_ms) == 3
    assert all(row.latency_ms is not None for row in result.trace.operators)
