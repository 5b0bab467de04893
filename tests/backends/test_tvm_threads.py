"""Compiled kernels divided among threads: the same bits, what the bundle and the trace say, what the model makes of it.

The table of operator cases (:mod:`tests.ops`) runs every kernel divided among three threads.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit import bundle as bundles
from edgekit import target
from edgekit.api.choose import threads_for
from edgekit.backends.tvm.child import scratch_bytes
from edgekit.bundle.execution import Execution, Kind, of_manifest
from edgekit.codegen import loops
from edgekit.codegen.program import Argument, Call
from edgekit.codegen.schedule import sharing
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import tflite
from edgekit.profiling import Profile
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from tests.installed import needed
from tests.networks.building import quantized
from tests.networks.chains import chains

needed("tvm", "tvm")
IR = """
define i32 @__tvm_ffi_k0(ptr %args) {
  %0 = load ptr, ptr @__TVMBackendAllocWorkspace, align 8
  %one = tail call ptr %0(i32 1, i32 0, i64 100, i32 2, i32 32)
  %2 = tail call i32 %1(ptr nonnull @__tvm_parallel_lambda, ptr nonnull %3, i32 0)
  %4 = tail call i32 %1(ptr nonnull @__tvm_parallel_lambda.1, ptr nonnull %3, i32 0)
}

define private i32 @__tvm_parallel_lambda(i32 %task_id, ptr %0, ptr %1) {
  ret i32 0
}

define private i32 @__tvm_parallel_lambda.1(i32 %task_id, ptr %0, ptr %1) {
  %2 = load ptr, ptr @__TVMBackendAllocWorkspace, align 8
  %two = tail call ptr %2(i32 1, i32 0, i64 1000, i32 2, i32 32)
}
"""


def convolution(size: int, **fields: object) -> Call:
    corner = (size, size, 64, 0, 0)
    nest = loops.Conv(
        "int8", (corner,), corner, (size, size, 64), (1, 1, 64), (1, 1, 1, 1), (0, 0), (4, 16, 16),
        loops.FloatEnd(0, 6), dot="vnni",
    )  # fmt: skip
    return Call(replace(nest, **fields), 0, (Argument(0, (size, size, 64), "int8"),))  # type: ignore[arg-type]


def test_small_kernels_are_not_divided() -> None:
    assert sharing.parts_of(convolution(2)) == 1
    several = sharing.parts_of(convolution(16))  # 1,048,576 products, 64 at once
    assert several == 1_048_576 // 64 // sharing.STEPS > 1
    assert sharing.parts_of(convolution(16, dot="")) == 1_048_576 // 16 // sharing.STEPS
    assert sharing.parts_of(convolution(100)) == sharing.MOST
    assert sharing.parts_of(replace(convolution(16), trace="[]")) == 1  # a tuned schedule has no parallel loop
    copy = loops.Map("float32", ((1, 1, 9, 0, 0),), (1, 1, 9, 0, 0), (1, 1, 9), function="copy")
    large = Argument(0, (100, 100, 64), "float32")
    assert sharing.parts_of(Call(copy, 0, (large, large))) == 100 * 100 * 64 * 4 // sharing.BYTES // sharing.STEPS


def test_scratch_of_loops_is_counted_for_each_thread() -> None:
    assert scratch_bytes(IR) == ({"k0": 128 + 1024}, {"k0": 1024})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_the_bits_do_not_depend_on_the_threads(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chains() if kind == "float32" else quantized(chains(), tmp_path / "int8")
    tflite.write(graph, tmp_path / "net.tflite")
    (alone,) = edgekit.compile(tmp_path / "net.tflite", targets=["host"], backend="tvm", out=tmp_path / "alone")
    monkeypatch.setattr(sharing, "STEPS", 1)
    (divided,) = edgekit.compile(tmp_path / "net.tflite", targets=["host"], backend="tvm", out=tmp_path / "divided")
    assert of_manifest(divided.manifest).threads and divided.manifest["execution"]["threads"] is True
    results = []
    for made, threads in ((alone, 1), (divided, 1), (divided, 2), (divided, 3), (divided, 8)):
        with bundles.opened(made.path) as bundle:
            inputs, _ = bundle.golden()
            run = once(get_runner("host"), bundle, inputs, RunOptions(repeat=3, threads=threads, profile=True))
        results.append(run.outputs)
        assert run.conditions["threads"] == (threads if made is divided else 1)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.slow
@pytest.mark.emulator
def test_the_emulator_predicts_what_threads_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels that are divided are shared by the model's threads, the others are not."""

    def profiles(folder: Path) -> tuple[Profile, Profile]:
        (made,) = edgekit.compile(tmp_path / "net.tflite", targets=["rpi4"], backend="tvm", out=folder)
        one, four = (edgekit.profile(made.path, on="emulator", threads=n) for n in (1, 4))
        assert one.instructions == four.instructions
        return one, four

    tflite.write(chains(), tmp_path / "net.tflite")
    monkeypatch.setattr(sharing, "STEPS", 1 << 40)
    one, four = profiles(tmp_path / "alone")
    assert four.conditions["threads"] == 1 and four.latency_ms == one.latency_ms
    monkeypatch.setattr(sharing, "STEPS", 1)
    one, four = profiles(tmp_path / "divided")
    assert four.conditions["threads"] == 4
    gained = [a.latency_ms != b.latency_ms for a, b in zip(one.operators, four.operators, strict=True)]
    assert any(gained) and not all(gained)


def test_manifests_say_whether_threads_help() -> None:
    code = Execution(Kind.LIBRARY, ("artifact/edgekit-run",), "network.so")
    assert not code.threads and replace(code, divided=True).threads and Execution(Kind.RUNTIME).threads
    for made in (code, replace(code, divided=True)):
        assert of_manifest({"execution": made.json()}) == made
    old = {name: value for name, value in code.json().items() if name != "threads"}
    assert of_manifest({"execution": old}) == code
    with pytest.raises(CheckFailed, match="'threads' is neither true nor false"):
        of_manifest({"execution": code.json() | {"threads": 4}})
    runtime = Execution(Kind.RUNTIME, ("artifact/edgekit-run",), "libLiteRt.so")
    assert of_manifest(json.loads(json.dumps({"execution": runtime.json()}))) == runtime


def test_auto_decides_for_all_cores_or_as_many_as_asked(tmp_path: Path) -> None:
    board = target.load("rpi5")
    assert [threads_for(board, n) for n in (None, 1, 4)] == [4, 1, 4]
    with pytest.raises(UsageError, match="rpi5 has 4 cores, not 5"):
        threads_for(board, 5)
    tflite.write(chains(), tmp_path / "net.tflite")
    with pytest.raises(UsageError, match="--threads is what --backend auto decides for"):
        edgekit.compile(tmp_path / "net.tflite", targets=["host"], threads=2, out=tmp_path)
