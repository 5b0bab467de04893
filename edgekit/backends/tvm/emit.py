"""Program -> C: the network's shared library, from the kernels' object file, the weights, and a list of calls.

TVM's functions take their arguments in TVM-FFI's C ABI (``tvm/ffi/c_api.h``: a TVMFFIAny is a type index and a value;
index 7 is a DLTensor's address). They need one function of its runtime, which reports an error; here it says nothing,
the call's status does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edgekit.codegen.program import Argument, Program, packed
from edgekit.codegen.schedule.sharing import parts_of

_HEAD = """#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>
#include "compiled_network.h"

typedef struct {{ int32_t type; uint32_t padding; union {{ int64_t number; void *pointer; }} value; }} ffi_any;
typedef struct {{ int32_t type, id; }} dl_device;
typedef struct {{ uint8_t code, bits; uint16_t lanes; }} dl_type;
typedef struct {{
  void *data; dl_device device; int32_t ndim; dl_type dtype; const int64_t *shape; const int64_t *strides;
  uint64_t offset;
}} dl_tensor;

__attribute__((visibility("hidden"))) void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts,
                                                                             int32_t count) {{
  (void)kind; (void)parts; (void)count;
}}

/* Memory that a kernel asks for while it runs lies in the arena, where the compiler planned it: no kernel allocates.
   Pieces are freed in any order; the room of those at the end is free again. TVM reaches both functions through
   pointers. Where functions are called one by one, outside of run(), nothing is planned. */
#ifdef {alone}
#include <stdlib.h>
static void *allocate(int32_t type, int32_t id, uint64_t bytes, int32_t code, int32_t bits) {{
  void *memory = 0;
  (void)type; (void)id; (void)code; (void)bits;
  return posix_memalign(&memory, 64, bytes) == 0 ? memory : 0;
}}
static int release(int32_t type, int32_t id, void *memory) {{
  (void)type; (void)id;
  free(memory);
  return 0;
}}
static void plan(uint8_t *start, uint64_t bytes) {{
  (void)start; (void)bytes;
}}
#else
static __thread struct {{
  uint8_t *start, *end;
  uint32_t count;
  struct {{ uint8_t *at; int free; }} pieces[{pieces}];
}} scratch;
static void *allocate(int32_t type, int32_t id, uint64_t bytes, int32_t code, int32_t bits) {{
  uint64_t size = (bytes + 63) / 64 * 64;
  (void)type; (void)id; (void)code; (void)bits;
  if (scratch.count == {pieces} || size > (uint64_t)(scratch.end - scratch.start)) return 0;
  scratch.pieces[scratch.count].at = scratch.start;
  scratch.pieces[scratch.count++].free = 0;
  scratch.start += size;
  return scratch.start - size;
}}
static int release(int32_t type, int32_t id, void *memory) {{
  (void)type; (void)id;
  for (uint32_t i = 0; i < scratch.count; i++)
    if (scratch.pieces[i].at == memory) scratch.pieces[i].free = 1;
  while (scratch.count && scratch.pieces[scratch.count - 1].free) scratch.start = scratch.pieces[--scratch.count].at;
  return 0;
}}
static void plan(uint8_t *start, uint64_t bytes) {{
  scratch.start = start;
  scratch.end = start + bytes;
  scratch.count = 0;
}}
#endif

/* A kernel's parallel loop is a function of its own, which computes one of `count` parts of the iterations. */
typedef struct {{ void *unused; int32_t count; }} parts;
typedef int (*part_function)(int32_t, const parts *, void *);
#ifdef {alone}
static int launch(part_function function, void *data, int32_t unused) {{
  const parts whole = {{0, 1}};
  (void)unused;
  return function(0, &whole, data);
}}
#else
struct loop {{ part_function function; void *data; parts parts; }};
static __thread struct {{ struct ek_pool *pool; uint32_t count; }} sharing;
static int part(uint32_t index, void *data) {{
  uint8_t memory[{part_scratch}] __attribute__((aligned(64)));
  const struct loop *loop = data;
  uint8_t *start = scratch.start, *end = scratch.end;
  int status;
  scratch.start = memory;
  scratch.end = memory + sizeof memory;
  status = loop->function((int32_t)index, &loop->parts, loop->data);
  scratch.start = start;
  scratch.end = end;
  return status;
}}
static int launch(part_function function, void *data, int32_t unused) {{
  struct loop loop = {{function, data, {{0, (int32_t)sharing.count}}}};
  (void)unused;
  if (sharing.count > 1) return sharing.pool->share(sharing.pool, part, &loop, sharing.count);
  loop.parts.count = 1;
  return function(0, &loop.parts, data);
}}
#endif
int (*__TVMBackendParallelLaunch)(part_function, void *, int32_t) = launch;
void *(*__TVMBackendAllocWorkspace)(int32_t, int32_t, uint64_t, int32_t, int32_t) = allocate;
int (*__TVMBackendFreeWorkspace)(int32_t, int32_t, void *) = release;

__asm__(".section .rodata\\n.balign 64\\n.local weights\\nweights:\\n"
        ".incbin \\"weights.bin\\"\\n.byte 0\\n.previous\\n");
extern const uint8_t weights[] __attribute__((visibility("hidden")));

/* An argument: where it lies (0 the arena, 1 the weights), its offset, type and shape. */
struct argument {{ uint8_t constant, code, bits, ndim; uint64_t offset; int64_t shape[{ranks}]; }};
typedef int (*kernel_function)(void *, const ffi_any *, int32_t, ffi_any *);
struct call {{
  kernel_function function; uint32_t first, count, border, borders, parts; uint64_t scratch, scratch_bytes;
}};
/* Rows and columns around a picture: filled before its first writer runs. Bytes, but for `bytes` of each value. */
struct border {{ uint64_t offset; uint32_t height, row, top, left, inner_height, inner_row; uint32_t bytes, value; }};
"""

_RUN = """
static void fill(uint8_t *at, uint64_t bytes, const struct border *b) {
  if (b->bytes == 1) {
    memset(at, (int)(b->value & 255), bytes);
  } else {
    for (uint64_t i = 0; i < bytes; i += 4) memcpy(at + i, &b->value, 4);
  }
}

static void fill_border(uint8_t *arena, const struct border *b) {
  uint8_t *picture = arena + b->offset;
  uint64_t below = b->top + b->inner_height, right = b->left + b->inner_row;
  fill(picture, (uint64_t)b->top * b->row, b);
  for (uint64_t y = b->top; y < below; y++) {
    fill(picture + y * b->row, b->left, b);
    fill(picture + y * b->row + right, b->row - right, b);
  }
  fill(picture + below * b->row, (b->height - below) * b->row, b);
}

/* Several parts per thread: a thread that loses its processor delays the others by one part. */
static void share(struct ek_pool *pool, uint32_t most) {
#ifndef %s
  uint32_t count = pool ? 4 * pool->threads : 1;
  sharing.pool = pool;
  sharing.count = count < most ? count : most;
#endif
}

static int run(void *arena, struct ek_pool *pool, const void *const *given, void *const *made, void (*tick)(void *),
               void *context) {
  uint8_t *base = arena;
  for (uint32_t i = 0; i < INPUTS; i++) memcpy(base + input_offset[i], given[i], input_bytes[i]);
  if (tick) tick(context);
  for (uint32_t k = 0; k < KERNELS; k++) {
    const struct call *call = &calls[k];
    ffi_any values[MOST], result = {0, 0, {0}};
    dl_tensor tensors[MOST];
    for (uint32_t b = 0; b < call->borders; b++) fill_border(base, &borders[call->border + b]);
    for (uint32_t i = 0; i < call->count; i++) {
      const struct argument *a = &arguments[call->first + i];
      uint8_t *data = a->constant ? (uint8_t *)weights + a->offset : base + a->offset;
      tensors[i] = (dl_tensor){data, {1, 0}, a->ndim, {a->code, a->bits, 1}, a->shape, 0, 0};
      values[i] = (ffi_any){7, 0, {.pointer = &tensors[i]}};
    }
    plan(base + call->scratch, call->scratch_bytes);
    share(pool, call->parts);
    if (call->function(0, values, (int32_t)call->count, &result) != 0) return (int)(1 + k);
    if (tick) tick(context);
  }
  for (uint32_t i = 0; i < OUTPUTS; i++) memcpy(made[i], base + output_offset[i], output_bytes[i]);
  return 0;
}

static const struct ek_network network = {
  EK_NETWORK_ABI, RUNTIME, INPUTS, OUTPUTS, KERNELS, input_bytes, output_bytes, ARENA, kernels, run, 0,
};

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void) { return &network; }
"""
ALONE = "EDGEKIT_FUNCTIONS_ALONE"
"""Defined where the source is compiled for callers of single functions, as TVM's RPC server is."""
MOST_ON_STACK = 65536
"""Bytes that a part of a kernel may have on its thread's stack; a kernel that asks for more runs on one thread."""
PIECES = 64
"""Of scratch that a kernel may hold at once."""
_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
"""DLDataTypeCode (dlpack.h) by numpy's kind."""


def weights(program: Program) -> tuple[bytes, dict[int, int]]:
    """All constants in one piece, each at a multiple of 64 bytes, equal ones once; and the buffers' offsets."""
    kept = enumerate(program.buffers)
    return packed({n: s.data for n, s in kept if s.kind == "constant" and s.data is not None})


@dataclass(frozen=True)
class Source:
    """The C source, the file ``weights.bin`` that it takes in, the bytes of the arena.

    :param divided: some kernels can be divided among threads.
    """

    text: str
    weights: bytes
    arena: int
    divided: bool


def source(
    program: Program, functions: Sequence[str], runtime: str, scratch: Mapping[str, int],
    part_scratch: Mapping[str, int] = MappingProxyType({}),
) -> Source:  # fmt: skip
    """Write a program's calls in C.

    :param functions: the name of each call's function. :param scratch: bytes that functions ask for while they run.
    :param part_scratch: those that the bodies of their parallel loops ask for: each thread has them on its stack.
    """
    blob, constants = weights(program)
    placed = program.placements([scratch.get(function, 0) for function in functions])
    places = placed.buffers
    offsets = constants | places
    ranks = max([len(argument.shape) for call in program.calls for argument in call.args] or [1])
    arguments: list[str] = []
    calls: list[str] = []
    borders: list[str] = []
    filled: set[int] = set()
    shared = [
        parts_of(call) if part_scratch.get(function, 0) <= MOST_ON_STACK else 1
        for call, function in zip(program.calls, functions, strict=True)
    ]
    room_of_part = max([n for n in part_scratch.values() if n <= MOST_ON_STACK], default=64)
    for call, function, room, parts in zip(program.calls, functions, placed.scratch, shared, strict=True):
        first, start = len(arguments), len(borders)
        arguments += [_argument(one, one.buffer in constants, offsets[one.buffer]) for one in call.args]
        out = call.args[-1].buffer
        if program.buffers[out].halo is not None and out not in filled:
            filled.add(out)
            borders.append(_border(program, out, offsets[out]))
        need = scratch.get(function, 0)
        rows_of = f"{first}, {len(call.args)}, {start}, {len(borders) - start}, {parts}"
        calls.append(f"{{__tvm_ffi_{function}, {rows_of}, {room}ull, {need}ull}}")
    most = max([len(call.args) for call in program.calls] or [1])
    text = [_HEAD.format(ranks=ranks, pieces=PIECES, alone=ALONE, part_scratch=room_of_part)]
    text += [f"int __tvm_ffi_{f}(void *, const ffi_any *, int32_t, ffi_any *);" for f in sorted(set(functions))]
    rows = [
        f"{{{_quoted(call.loops.title)}, {call.node}, {parts}}}"
        for call, parts in zip(program.calls, shared, strict=True)
    ]
    counts = {"INPUTS": len(program.inputs), "OUTPUTS": len(program.outputs), "KERNELS": len(program.calls)}
    text += [f"#define {name} {value}" for name, value in {**counts, "MOST": most}.items()]
    text += [f"#define ARENA {placed.arena}ull", f"#define RUNTIME {_quoted(runtime)}"]
    text += [
        _array("struct argument", "arguments", arguments), _array("struct border", "borders", borders),
        _array("struct call", "calls", calls), _array("struct ek_kernel", "kernels", rows),
        *(_array("uint64_t", f"{side}_{what}", [f"{value}ull" for value in values])
          for side, buffers in (("input", program.inputs), ("output", program.outputs))
          for what, values in (("bytes", [program.buffers[i].nbytes for i in buffers]),
                               ("offset", [places[i] for i in buffers]))),
    ]  # fmt: skip
    return Source("\n".join(text) + _RUN.replace("%s", ALONE), blob, placed.arena, any(parts > 1 for parts in shared))


def _array(kind: str, name: str, rows: Sequence[str]) -> str:
    return f"static const {kind} {name}[] = {{\n  " + ",\n  ".join(rows or ["{0}"]) + "\n};"


def _quoted(text: str) -> str:
    plain = "".join(c if 32 <= ord(c) < 127 and c not in '"\\?' else "_" for c in text)
    return f'"{plain[:120]}"'


def _argument(argument: Argument, constant: bool, offset: int) -> str:
    dtype = np.dtype(argument.dtype)
    code, bits = _KINDS[dtype.kind], dtype.itemsize * 8
    shape = ", ".join(map(str, argument.shape))
    return f"{{{int(constant)}, {code}, {bits}, {len(argument.shape)}, {offset}ull, {{{shape}}}}}"


def _border(program: Program, buffer: int, offset: int) -> str:
    halo = program.buffers[buffer].halo
    assert halo is not None
    (height, width, channels), (top, left, inner_height, inner_width) = halo.outer, halo.inner
    size = 4 if program.buffers[buffer].dtype == "float32" else 1
    pixel = channels * size
    value = np.float32(halo.value).view(np.uint32) if size == 4 else int(halo.value) & 255
    sizes = (height, width * pixel, top, left * pixel, inner_height, inner_width * pixel, size, int(value))
    return f"{{{offset}ull, {', '.join(map(str, sizes))}}}"
