"""CUDA's prelude and the stand-in for its driver, on this machine: halves to the bit, blocks to the edge."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends.gpu import host_build
from edgekit.backends.gpu.dialect import CUDA
from edgekit.runners.cuda_emulator import FLAGS
from edgekit.tools import toolchain

pytestmark = pytest.mark.skipif(not toolchain.load("host-cxx").found(), reason="no C++ compiler")
KERNELS = """
__kernel void widen(__global const half *restrict a_, uint a_at, __global float *restrict d_, uint d_at) {
  if (get_global_id(0) >= 16384 || get_global_id(1) >= 1 || get_global_id(2) >= 1) return;
  vstore4(vload_half4(0, a_ + 4 * get_global_id(0)), 0, d_ + 4 * get_global_id(0));
}
__kernel void narrow(__global const float *restrict a_, uint a_at, __global half *restrict d_, uint d_at) {
  const int i = get_global_id(0);
  vstore_half(a_[i], 0, d_ + i);
}
__kernel void places(__global int *restrict d_, uint d_at) {
  const int x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
  if (x >= 5 || y >= 3 || z >= 7) return;
  d_[d_at / 4 + (z * 3 + y) * 5 + x] += 1 + x + 10 * y + 100 * z;
}
__kernel void vectors(__global const float *restrict a_, uint a_at, __global float *restrict d_, uint d_at) {
  const float4 v = vload4(0, a_);
  vstore4(fma((float4)(2.0f), v, 1.0f / (1.0f + exp(-v))) - fmax(v, 0.0f) / (float4)(4.0f), 0, d_);
  vstore2(pow(vload2(0, a_) * 3.0f, 2.0f) + (float2)(v.s3), 0, d_ + 4);
}
"""


class Place(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("prelude")
    (folder / "kernels.cu").write_text(CUDA.head() + KERNELS)
    command = [*toolchain.load("host-cxx").find().argv, *FLAGS, "-Wall", "-Wextra", "-Werror",
               "-Wno-unused-function", "-Wno-unused-parameter", "kernels.cu", "-o", "kernels.so"]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return ctypes.CDLL(str(folder / "kernels.so"))


def call(library: ctypes.CDLL, name: str, items: int, *arrays: np.ndarray) -> None:
    thread, block = Place.in_dll(library, "threadIdx"), Place.in_dll(library, "blockDim")
    block.x = block.y = block.z = 1
    arguments = [part for array in arrays for part in (ctypes.c_void_p(array.ctypes.data), ctypes.c_uint(0))]
    for item in range(items):
        thread.x = item
        getattr(library, name)(*arguments)


def test_every_half_is_read_exactly(library: ctypes.CDLL) -> None:
    halves, found = np.arange(65536, dtype=np.uint16), np.zeros(65536 + 4, np.float32)
    made = found[(-found.ctypes.data // 4) % 4 :][:65536]  # at a multiple of 16 bytes
    call(library, "widen", 16384, halves, made)
    wanted = halves.view(np.float16).astype(np.float32)
    assert np.array_equal(made, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(made[wanted == 0]), np.signbit(wanted[wanted == 0]))


def test_floats_are_rounded_to_the_nearest_half(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)
    near = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)[::7]
    ties = (near[:-1] + np.nextafter(near[:-1].astype(np.float16), np.float16(np.inf)).astype(np.float32)) / 2
    edges = np.array([0, -0.0, 65504, 65519.99, 65520, np.inf, -np.inf, 2.0**-25, 2.0**-24], np.float32)
    tiny = rng.normal(size=5000).astype(np.float32) * 1e-6
    values = np.concatenate([bits, near, -near, ties, -ties, np.nextafter(ties, np.float32(0)), tiny, edges])
    made = np.zeros(len(values), np.uint16)
    call(library, "narrow", len(values), values, made)
    with np.errstate(over="ignore"):
        wanted = values.astype(np.float16)
    whole = ~np.isnan(values)
    assert np.array_equal(made[whole], wanted.view(np.uint16)[whole])
    assert np.isnan(made.view(np.float16)[~whole]).all()


def test_vectors_compute_as_floats_do(library: ctypes.CDLL) -> None:
    given, found = np.zeros(8, np.float32), np.zeros(12, np.float32)
    v, d = given[(-given.ctypes.data // 4) % 4 :][:4], found[(-found.ctypes.data // 4) % 4 :][:6]
    v[:] = [-1.5, 0.25, 2.0, 7.0]
    call(library, "vectors", 1, v, d)
    assert np.allclose(d[:4], 2 * v + 1 / (1 + np.exp(-v)) - np.maximum(v, 0) / 4, 1e-6)
    assert np.allclose(d[4:], (v[:2] * 3) ** 2 + v[3])


def test_the_emulated_driver_runs_each_work_item_once(library: ctypes.CDLL, tmp_path: Path) -> None:
    """Through the driver's own functions, as the host program calls them: blocks that do not divide the work."""
    os.symlink(library._name, tmp_path / "kernels.so")
    (tmp_path / "libcuda.so.1").write_bytes(host_build.cuda_emulator(os.uname().machine).read_bytes())
    cuda = ctypes.CDLL(str(tmp_path / "libcuda.so.1"))
    memory, module, function = ctypes.c_uint64(), ctypes.c_void_p(), ctypes.c_void_p()
    stream = ctypes.c_void_p()
    image = b"\x7fELF" + bytes(14) + (190).to_bytes(2, "little")
    assert cuda.cuModuleLoadData(ctypes.byref(module), b"\x7fELF" + bytes(60)) == 209  # for a processor, not for a GPU
    assert cuda.cuInit(0) == cuda.cuStreamCreate(ctypes.byref(stream), 1) == 0
    assert cuda.cuModuleLoadData(ctypes.byref(module), image) == 0
    assert cuda.cuModuleGetFunction(ctypes.byref(function), module, b"absent") == 500
    assert cuda.cuModuleGetFunction(ctypes.byref(function), module, b"places") == 0
    assert cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(4 * 105 + 8)) == 0
    assert cuda.cuMemsetD32Async(memory, 0, ctypes.c_size_t(107), stream) == 0
    offset = ctypes.c_uint(8)
    parameters = (ctypes.c_void_p * 3)(ctypes.addressof(memory), ctypes.addressof(offset), None)
    launch = [function, 2, 2, 4, 4, 2, 2, 0, stream, parameters, None]
    assert cuda.cuLaunchKernel(*launch) == 0
    assert cuda.cuLaunchKernel(*launch[:7], 1024, *launch[8:]) == 1  # kernels have no shared memory
    made = np.zeros(107, np.int32)
    assert cuda.cuMemcpyDtoHAsync_v2(ctypes.c_void_p(made.ctypes.data), memory, ctypes.c_size_t(428), stream) == 0
    z, y, x = np.indices((7, 3, 5))
    assert np.array_equal(made[2:].reshape(7, 3, 5), 1 + x + 10 * y + 100 * z) and not made[:2].any()
