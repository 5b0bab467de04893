"""Memory that kernels ask for while they run: planned in the arena, so that an inference allocates nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.api.compile import compile
from edgekit.backends.runner_build import STANDARD
from edgekit.backends.tvm import LIBRARY, emit
from edgekit.backends.tvm.child import scratch_bytes
from edgekit.codegen.program import Program
from edgekit.resources import folder
from tests.onnx.models import one

IR = """
define i32 @__tvm_ffi_k0(ptr %args) {
  %1 = tail call fastcc i32 @k0_compute_(ptr %args), !dbg !15
}

define internal fastcc i32 @k0_compute_(ptr %a) {
  %0 = load ptr, ptr @__TVMBackendAllocWorkspace, align 8, !dbg !38
  %one = tail call ptr %0(i32 1, i32 %dev_id, i64 100, i32 2, i32 32), !dbg !38
  %2 = load ptr, ptr @__TVMBackendAllocWorkspace, align 8, !dbg !38
  %two = tail call ptr %2(i32 1, i32 %dev_id, i64 64, i32 2, i32 32), !dbg !38
}

define i32 @__tvm_ffi_k1(ptr %args) {
  ret i32 0
}
"""
DRIVER = """
static int failed(int line) { return line; }
#define CHECK(c) do { if (!(c)) return failed(__LINE__); } while (0)
int main(void) {
  static uint8_t arena[512];
  scratch.start = arena + 64; scratch.end = arena + 320; scratch.count = 0;
  uint8_t *outer = allocate(1, 0, 100, 2, 32);
  CHECK(outer == arena + 64);
  for (int turn = 0; turn < 1000; turn++) {  /* a loop in a kernel, which frees in the order in which it took */
    uint8_t *a = allocate(1, 0, 1, 2, 32), *b = allocate(1, 0, 64, 2, 32);
    CHECK(a == arena + 192 && b == arena + 256);
    CHECK(!allocate(1, 0, 1, 2, 32));  /* no more than was planned */
    release(1, 0, a);
    release(1, 0, b);
  }
  release(1, 0, outer);
  CHECK(scratch.count == 0 && scratch.start == arena + 64);
  CHECK(!allocate(1, 0, 257, 2, 32) && !allocate(1, 0, UINT64_MAX - 200, 2, 32));
  return 0;
}
"""


def test_sizes_are_read_from_what_tvm_made() -> None:
    assert scratch_bytes(IR) == ({"k0": 128 + 64}, {})
    other = "  %other = call ptr %2(i32 1, i32 %dev_id, i64 65, i32 2, i32 32), !dbg !38\n"
    again = IR.replace("  %two =", f"{other}  %two =")
    assert scratch_bytes(again) == ({"k0": 128 + 64 + 128}, {})
    with pytest.raises(ValueError, match="k0_compute_ asks for memory in an unknown way"):
        scratch_bytes(IR.replace("i64 100", "i64 %bytes"))


def test_pieces_are_taken_and_freed_in_any_order(tmp_path: Path) -> None:
    text = emit.source(Program(), [], "tvm", {}).text
    head = text[: text.index("__asm__")]
    (tmp_path / "driver.c").write_text(head + DRIVER)
    headers = folder("firmware_stubs") / "linux"
    flags = [STANDARD, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{headers}"]
    subprocess.run(["gcc", *flags, "driver.c", "-o", "driver"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "driver"], check=False).returncode == 0


@pytest.mark.slow
def test_a_kernel_with_much_scratch_allocates_nothing(tmp_path: Path) -> None:
    """ONNX's Softmax is one function of TVM's with a row of sums and a copy of its input between its loops."""
    (tmp_path / "softmax.onnx").write_bytes(one("Softmax", [64, 300], [[64, 300]]))
    (made,) = compile(tmp_path / "softmax.onnx", targets=["host"], backend="tvm", out=tmp_path)
    assert made.parity.ok
    assert made.manifest["footprint"]["ram_bytes"] >= 3 * 64 * 300 * 4  # input, output and the copy
    library = made.path / "artifact" / LIBRARY
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].split("@")[0] for line in symbols.splitlines()}
    assert "edgekit_network" in names and not {"malloc", "calloc", "aligned_alloc", "posix_memalign", "free"} & names
