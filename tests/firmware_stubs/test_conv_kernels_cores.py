"""The kernels of convolutions on emulated cores equal NumPy, with constant sizes and without."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.codegen import fixed_point
from edgekit.codegen.schedule.mcu import packing
from tests.firmware_stubs import kernel_library as kernels

pytestmark = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="needs arm-none-eabi-gcc and qemu-system-arm",
)

CORES: dict[str, tuple[str, packing.Packing, str, str, str]] = {
    "m0plus": ("-mcpu=cortex-m0plus", "rows", "mps2-an385", "0", "0x20000000"),
    "m4": ("-mcpu=cortex-m4", "pairs", "mps2-an386", "0", "0x20000000"),
    "m7": ("-mcpu=cortex-m7", "pairs", "mps2-an500", "0", "0x20000000"),
    "m33": ("-mcpu=cortex-m33", "pairs", "mps2-an505", "0x10000000", "0x38000000"),
    "m55": ("-mcpu=cortex-m55 -mfloat-abi=hard", "blocks", "mps3-an547", "0", "0x20000000"),
    # Packed for other cores.
    "m3": ("-mcpu=cortex-m3", "pairs", "mps2-an385", "0", "0x20000000"),
    "m4_blocks": ("-mcpu=cortex-m4", "blocks", "mps2-an386", "0", "0x20000000"),
}
SHAPES = {
    "pointwise": packing.ConvShape(5, 3, 16, 5, 3, 12, 1, 1),
    "pointwise_64": packing.ConvShape(1, 4, 64, 1, 4, 8, 1, 1),
    "strided_pointwise": packing.ConvShape(5, 5, 32, 3, 3, 5, 1, 1, 2, 2),
    "first_layer": packing.ConvShape(8, 8, 3, 4, 4, 8, 3, 3, 2, 2),
    "one_channel": packing.ConvShape(9, 7, 1, 5, 4, 7, 5, 4, 2, 2, pad_top=2, pad_left=1),
    "same": packing.ConvShape(6, 5, 16, 6, 5, 16, 3, 3, pad_top=1, pad_left=1),
    "dilated_groups": packing.ConvShape(7, 7, 12, 5, 5, 9, 2, 3, dilation_h=2, pad_left=0, groups=3),
    "depthwise": packing.ConvShape(6, 6, 8, 6, 6, 8, 3, 3, pad_top=1, pad_left=1),
    "depthwise_odd": packing.ConvShape(7, 5, 6, 7, 5, 6, 3, 3, pad_top=1, pad_left=1, strip=3),
    "depthwise_strided": packing.ConvShape(9, 9, 4, 5, 5, 4, 3, 3, 2, 2, pad_top=1, pad_left=1),
    "depthwise_even": packing.ConvShape(8, 8, 5, 4, 4, 5, 3, 3, 2, 2),
    "depthwise_multiplier": packing.ConvShape(5, 6, 2, 5, 6, 6, 3, 3, pad_top=1, pad_left=1),
    "depthwise_24": packing.ConvShape(5, 5, 24, 3, 3, 24, 3, 3, 2, 2, pad_top=1, pad_left=1),
    "depthwise_144": packing.ConvShape(3, 4, 144, 3, 4, 144, 3, 3, pad_top=1, pad_left=1),
    "depthwise_5x5": packing.ConvShape(6, 6, 4, 6, 6, 4, 5, 5, pad_top=2, pad_left=2),
}
POOLS = [(5, 4, 7, 2, 3), (16, 16, 9, 16, 16), (17, 16, 6, 17, 16), (3, 3, 3, 3, 3)]
"""Height, width and channels; height and width of the window. More than 256 pixels do not fit halfwords."""
DENSE = [(1, 37, 6), (2, 64, 4), (1, 16, 3), (1, 5, 256)]
ARITHMETIC = {"narrow": (0.001, 0.2), "near": (0.001, 0.7), "any": (0.01, 4.0), "limits": (0.001, 0.2),
              "halves": (0.125, 0.125)}  # fmt: skip
"""Ranges of factors, which select how kernels requantize."""
WEIGHTS = [(-127, 127), (-7, 7), (-8, 7)]
"""Ranges of weights: eight bits; four bits, without and with what ``pairs`` cannot hold."""

MAIN = """
struct job {{ void (*run)(const int8_t *x, int8_t *y); const int8_t *x, *expected; int32_t size; }};
{parts}
static const struct job jobs[] = {{{jobs}}};

void *memcpy(void *to, const void *from, unsigned n)
{{
    for (unsigned i = 0; i < n; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}}

void *memset(void *to, int value, unsigned n)
{{
    for (unsigned i = 0; i < n; i++)
        ((volatile char *)to)[i] = (char)value;
    return to;
}}

/* SYS_EXIT_EXTENDED: how many jobs went well, up to the first that did not. */
static void leave(int code)
{{
    unsigned block[2] = {{0x20026, (unsigned)code}};
    register unsigned operation __asm("r0") = 0x20;
    register unsigned *argument __asm("r1") = block;
    __asm volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
}}

static __attribute__((noinline)) int all(void)
{{
    int done = 0;
    for (; done < (int)(sizeof jobs / sizeof *jobs); done++) {{
        const struct job *job = &jobs[done];
        for (int32_t i = 0; i < 4096; i++)
            output[i] = 0x5a;
        job->run(job->x, output);
        int wrong = output[job->size] != 0x5a;
        for (int32_t i = 0; i < job->size; i++)
            wrong |= output[i] != job->expected[i];
        if (wrong)
            break;
    }}
    return done;
}}

void reset(void);
void reset(void)
{{
    /* The FPU's registers are those of the vector extension. */
    *(volatile uint32_t *)0xE000ED88 |= 0xfu << 20;
    __asm volatile("dsb\\n isb" : : : "memory");
    leave(all());
    for (;;)
        ;
}}

extern char stack_top;
struct vectors {{ void *stack; void (*reset)(void); }};
__attribute__((section(".vectors"), used)) static const struct vectors vectors = {{&stack_top, reset}};
"""
SCRIPT = """
MEMORY {{ FLASH (rx) : ORIGIN = {rom}, LENGTH = 2M RAM (rwx) : ORIGIN = {ram}, LENGTH = 128K }}
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }} > FLASH
  .bss (NOLOAD) : {{ *(.bss*) *(COMMON) }} > RAM
  /DISCARD/ : {{ *(.ARM.exidx*) }}
}}
stack_top = ORIGIN(RAM) + LENGTH(RAM);
"""


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
@pytest.mark.parametrize("core", CORES)
def test_kernels_on_a_core(core: str, weights: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    program = Program(CORES[core][1], *weights)
    for arithmetic in ARITHMETIC if weights[0] != -8 else ("narrow",):
        for name, shape in SHAPES.items():
            program.convolution(rng, shape, arithmetic, depthwise=name.startswith("depthwise"))
        for rows, depth, units in DENSE:
            program.dense(rng, rows, depth, units, arithmetic)
    run(core, program, tmp_path)


@pytest.mark.parametrize("core", CORES)
def test_kernels_of_words_on_a_core(core: str, tmp_path: Path) -> None:
    """int16 activations, with all roundings; and means of windows, which take four channels at a time."""
    rng = np.random.default_rng(7)
    program = Program(CORES[core][1], -127, 127)
    for rounding in range(4):
        for name, shape in SHAPES.items():
            if "multiplier" not in name:
                program.words(rng, "depthwise" if name.startswith("depthwise") else "conv2d", shape, rounding)
        for rows, depth, units in [*DENSE, (3, 600, 2)]:
            program.words(rng, "dense", packing.DenseShape(rows, depth, units), rounding)
    for window in POOLS:
        program.pool(rng, *window)
    run(core, program, tmp_path)


def run(core: str, program: Program, tmp_path: Path) -> None:
    """Run all jobs on an emulated core."""
    flags, kind, machine, rom, ram = CORES[core]
    (tmp_path / "jobs.c").write_text(program.text())
    (tmp_path / "link.ld").write_text(SCRIPT.format(rom=rom, ram=ram))
    command = ["arm-none-eabi-gcc", *flags.split(), "-mthumb", *kernels.WARNINGS, "-O2", "-nostdlib", "-nostartfiles"]
    command += [*kernels.PACKINGS[kind], f"-I{kernels.KERNELS}", "-T", "link.ld", "jobs.c", "-lgcc", "-o", "jobs.elf"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    emulator = ["qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none", "-serial", "none"]
    emulator += ["-semihosting-config", "enable=on,target=native", "-kernel", "jobs.elf"]
    ended = subprocess.run(emulator, cwd=tmp_path, timeout=60, check=False).returncode
    assert ended == len(program.jobs), program.jobs[ended]


class Program:
    """C source that runs kernels and compares what they make."""

    def __init__(self, kind: packing.Packing, least: int, most: int) -> None:
        self.kind, self.least, self.most = kind, least, most
        self.parts = list[str]()
        self.jobs = list[str]()
        self.count = 0

    def convolution(self, rng: Any, shape: packing.ConvShape, arithmetic: str, *, depthwise: bool) -> None:
        many = shape.out_c // shape.in_c
        weights = (shape.k_h, shape.k_w, shape.out_c)
        if not depthwise:
            weights = (shape.out_c, shape.k_h, shape.k_w, shape.in_c // shape.groups)
        layer = self._layer(rng, weights, shape.out_c, arithmetic)
        rows = layer.weights.transpose(2, 0, 1) if depthwise else layer.weights
        packed, plain = packing.pack(layer.weights, self.kind, shape.groups)
        if depthwise:
            packed, plain = packing.pack_depthwise(layer.weights, self.kind, many)
        shape = dataclasses.replace(shape, flags=layer.flags(rows) | plain)
        x = rng.integers(-128, 128, (shape.in_h, shape.in_w, shape.in_c))
        expected = (kernels.expected_depthwise if depthwise else kernels.expected_conv)(shape, layer, x)
        scratch = (packing.depthwise_scratch if depthwise else packing.conv_scratch)(shape, self.kind)
        assert scratch <= 8192, scratch
        function = "ek_depthwise_conv2d_s8" if depthwise else "ek_conv2d_s8"
        self._job(function, "ek_conv_shape", shape, layer, packed, rows, x, expected, ", scratch")

    def dense(self, rng: Any, rows: int, depth: int, units: int, arithmetic: str) -> None:
        layer = self._layer(rng, (units, depth), units, arithmetic)
        packed, plain = packing.pack(layer.weights, self.kind)
        shape = packing.DenseShape(rows, depth, units, layer.flags(layer.weights) | plain)
        x = rng.integers(-128, 128, (rows, depth))
        self._job("ek_dense_s8", "ek_dense_shape", shape, layer, packed, layer.weights, x,
                  kernels.expected_dense(layer, x), "")  # fmt: skip

    def _job(
        self, function: str, struct: str, shape: Any, layer: kernels.Layer, packed: Any, rows: Any, x: Any,
        expected: Any, scratch: str,
    ) -> None:  # fmt: skip
        n, convolution = self.count, struct == "ek_conv_shape"
        self.count += 1
        bias = packing.folded_bias(rows, layer.bias, layer.x_zero)
        arrays = {"weights": ("int8_t", packed), "x": ("int8_t", x), "expected": ("int8_t", expected)}
        if convolution and packing.takes_channels(shape.flags, self.kind):
            factors = packing.channels(bias, layer.multiplier, layer.shift, shape.flags)
            arrays["channels"] = "int32_t", factors
        else:
            lanes = {"bias": bias, "multiplier": layer.multiplier, "shift": layer.shift}
            for name, values in lanes.items():
                kind = "int8_t" if name == "shift" else "int32_t"
                arrays[name] = kind, packing.lanes(values, self.kind)
            if "depthwise" in function and packing.takes_vectors(shape.flags, self.kind, shape.out_c):
                arrays["channels"] = "int32_t", packing.vectors(bias, layer.multiplier, layer.shift)
        for name, (kind, values) in arrays.items():
            numbers = ",".join(map(str, np.asarray(values).reshape(-1).tolist()))
            aligned = "__attribute__((aligned(16))) " if name != "expected" else ""
            self.parts.append(f"static const {kind} {name}{n}[] {aligned}= {{{numbers}}};")
        fields = [f".{name} = {name}{n}" for name in arrays if name not in ("x", "expected")]
        fields += [f".{name} = {getattr(layer, name)}" for name in ("x_zero", "y_zero")]
        fields += [f".low = {layer.limits[0]}", f".high = {layer.limits[1]}"]
        numbers = ",".join(map(str, dataclasses.astuple(shape)))
        call = f"{function}(&s{n}, &d{n}, x, y{scratch});"
        generic = f"generic_{function}(&s{n}, &d{n}, x, y{scratch});"
        self.parts += [
            f"static const struct ek_conv_data d{n} = {{{', '.join(fields)}}};",
            f"static const struct {struct} s{n} = {{{numbers}}};",
            f"static void run{n}(const int8_t *x, int8_t *y) {{ {call} }}",
            f"static void any{n}(const int8_t *x, int8_t *y) {{ {generic} }}",
        ]
        size = int(np.prod(expected.shape))
        assert size < 4096
        self.jobs += [f"{{run{n}, x{n}, expected{n}, {size}}}", f"{{any{n}, x{n}, expected{n}, {size}}}"]

    def words(self, rng: Any, kind: str, shape: packing.ConvShape | packing.DenseShape, rounding: int) -> None:
        if isinstance(shape, packing.DenseShape):
            size, units = (shape.rows, shape.inputs), shape.outputs
            weights: tuple[int, ...] = (units, shape.inputs)
        else:
            size, units = (shape.in_h, shape.in_w, shape.in_c), shape.out_c
            weights = (units, shape.k_h, shape.k_w, shape.in_c // shape.groups)
            weights = (shape.k_h, shape.k_w, units) if kind == "depthwise" else weights
        pairs = [fixed_point.quantize_multiplier(factor) for factor in np.exp(rng.uniform(-12, -4, units))]
        layer = kernels.Words(
            kind, shape, rng.integers(-127, 127, weights), rng.integers(-99999, 99999, units),
            np.array([m for m, _ in pairs]), np.array([s for _, s in pairs]), rounding, (-32768, 32767),
        )  # fmt: skip
        x = rng.integers(-32768, 32768, size).astype(np.int16)
        n = self.count
        self.count += 1
        arrays = {
            "weights": ("int8_t", layer.packed(self.kind)), "bias": ("int64_t", layer.bias),
            "multiplier": ("int32_t", layer.multiplier), "shift": ("int8_t", layer.shift),
            "x": ("int8_t", x.view(np.int8)),
            "expected": ("int8_t", np.ascontiguousarray(layer.expected(x)).view(np.int8)),
        }  # fmt: skip
        for name, (ctype, values) in arrays.items():
            numbers = ",".join(map(str, np.asarray(values).reshape(-1).tolist()))
            self.parts.append(f"static const {ctype} {name}{n}[] __attribute__((aligned(16))) = {{{numbers}}};")
        fields = [f".{name} = {name}{n}" for name in arrays if name not in ("x", "expected")]
        fields += [f".rounding = {rounding}, .x_zero = 0, .y_zero = 3, .low = -32768, .high = 32767"]
        struct = "ek_dense_shape" if kind == "dense" else "ek_conv_shape"
        function = "ek_depthwise_conv2d_s16" if kind == "depthwise" else f"ek_{kind}_s16"
        scratch = "" if kind == "depthwise" else ", scratch"
        assert layer.scratch(self.kind) <= 8192
        self.parts += [
            f"static const struct ek_word_data d{n} = {{{', '.join(fields)}}};",
            f"static const struct {struct} s{n} = {{{','.join(map(str, dataclasses.astuple(shape)))}}};",
            f"static void run{n}(const int8_t *x, int8_t *y) {{ {function}(&s{n}, &d{n}, x, y{scratch}); }}",
        ]
        self.jobs.append(f"{{run{n}, x{n}, expected{n}, {arrays['expected'][1].size}}}")

    def pool(self, rng: Any, height: int, width: int, channels: int, rows: int, columns: int) -> None:
        """Strides of a window's size less one; -128 often enough for the least sum."""
        x = np.where(rng.uniform(size=(height, width, channels)) < 0.1, 99, -128)
        stride = max(1, rows - 1), max(1, columns - 1)
        made = tuple((size - k) // s + 1 for size, k, s in zip((height, width), (rows, columns), stride, strict=True))
        windows = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), (0, 1))[:: stride[0], :: stride[1]]
        total, count = windows.sum((-2, -1)), rows * columns
        means = np.sign(total) * ((np.abs(total) + count // 2) // count)
        n, fields = self.count, (height, width, channels, *made, rows, columns, *stride, 0, 0)
        self.count += 1
        for name, values in {"x": x, "expected": np.clip(means, -120, 100)}.items():
            numbers = ",".join(map(str, values.reshape(-1).tolist()))
            self.parts.append(f"static const int8_t {name}{n}[] = {{{numbers}}};")
        self.parts += [
            f"static const struct ek_pool_shape s{n} = {{{','.join(map(str, fields))}}};",
            f"static const struct ek_limits d{n} = {{-120, 100}};",
            f"static void run{n}(const int8_t *x, int8_t *y) {{ ek_average_pool_s8(&s{n}, &d{n}, x, y); }}",
        ]
        self.jobs.append(f"{{run{n}, x{n}, expected{n}, {means.size}}}")

    def text(self) -> str:
        headers = ("ek_conv.h", "ek_conv_words.h", "ek_depthwise.h", "ek_dense.h", "ek_pool.h")
        head = "".join(f'#include "{name}"\n' for name in headers)
        for name, size in (("output", 4096), ("scratch", 8192)):
            head += f"static int8_t {name}[{size}] __attribute__((aligned(16)));\n"
        for name in ("ek_conv2d_s8", "ek_depthwise_conv2d_s8"):
            head += (
                f"EK_NOINLINE void generic_{name}(const struct ek_conv_shape *s, const struct ek_conv_data *d,"
                f" const int8_t *x, int8_t *y, void *work) {{ {name}(s, d, x, y, work); }}\n"
            )
        head += (
            "EK_NOINLINE void generic_ek_dense_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d,"
            " const int8_t *x, int8_t *y) { ek_dense_s8(s, d, x, y); }\n"
        )
        return head + MAIN.format(parts="\n".join(self.parts), jobs=",\n".join(self.jobs))

    def _layer(self, rng: Any, weights: tuple[int, ...], channels: int, arithmetic: str) -> kernels.Layer:
        low, high = ARITHMETIC[arithmetic]
        factors = np.exp(rng.uniform(np.log(low), np.log(high), channels))
        if arithmetic == "near":
            factors[0] = 0.7
        pairs = [fixed_point.quantize_multiplier(float(factor)) for factor in factors]
        limits = (-100, 90) if arithmetic == "limits" else (-128, 127)
        return kernels.Layer(
            rng.integers(self.least, self.most, weights, endpoint=True), rng.integers(-2000, 2000, channels),
            np.array([m for m, _ in pairs]), np.array([s for _, s in pairs]), -5, 3, limits,
        )  # fmt: skip
