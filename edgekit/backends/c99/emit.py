"""Writes a program of steps as C99: ``model.c`` and ``model.h``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.nibbles import INT4
from edgekit.codegen.schedule.mcu.steps import Operand, Program, Stage, Step, Struct, Table, Value, aligned
from edgekit.graph import Tensor

HEADERS = (
    "ek_conv.h", "ek_conv_words.h", "ek_depthwise.h", "ek_dense.h", "ek_elements.h", "ek_floats.h", "ek_indices.h",
    "ek_maps.h", "ek_move.h", "ek_plain.h", "ek_pool.h", "ek_recurrent.h", "ek_recurrent_f32.h", "ek_reduce.h",
    "ek_resize.h", "ek_rows.h", "ek_softmax.h", "ek_stream.h", "ek_transpose_conv.h", "ek_words.h",
)  # fmt: skip
"""Of the kernel library, in ``firmware_stubs/kernels``."""
C_TYPES = {
    "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t",
    "int64": "int64_t", "float32": "float", "bool": "uint8_t",
}  # fmt: skip
PER_LINE = 24
"""Numbers on a line of an array."""


class Optimize(StrEnum):
    """What ``c99.optimize`` may be."""

    SPEED = "speed"
    SIZE = "size"
    RAM = "ram"


@dataclass(frozen=True)
class Source:
    """The two files.

    :param name: prefix of all names that they export. :param constants: bytes of weights and tables.
    """

    name: str
    code: str
    header: str
    memory: memory.Plan
    constants: int


def source(
    program: Program, name: str, optimize: Optimize = Optimize.SPEED, placed: memory.Plan | None = None
) -> Source:
    """Write a program.

    :param name: a C identifier: the model's.
    :param placed: where buffers lie; by default as :func:`memory.plan` has it.
    """
    return _Writer(program, name, optimize, placed or memory.plan(program)).source()


@dataclass
class _Writer:
    program: Program
    name: str
    optimize: Optimize
    plan: memory.Plan
    tables: dict[tuple[str, bytes], str] = field(default_factory=dict)
    structs: dict[tuple[str, str], str] = field(default_factory=dict)
    functions: dict[tuple[str, str], str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    constants: int = 0

    def source(self) -> Source:
        calls = [self._call(step, number) for number, step in enumerate(self.program.steps)]
        model = self._model()
        code = "\n".join([self._head(), *self.parts, *self.code, *self._ends(), self._run(calls), model])
        return Source(self.name, code, self._header(), self.plan, self.constants)

    # Constants

    def _table(self, table: Table) -> str:
        values = np.ascontiguousarray(table.values)
        kind = C_TYPES[str(values.dtype)]
        key = (kind, values.tobytes())
        if key not in self.tables:
            self.tables[key] = f"t{len(self.tables)}"
            self.constants += values.nbytes
            lines = "".join(f"\n    {','.join(line)}," for line in _lines(_numbers(values)))
            aligned = " EK_ALIGNED" if values.itemsize <= 4 else ""  # 8 bytes are aligned to more by themselves
            self.parts.append(
                f"static const {kind} {self.tables[key]}[{max(1, values.size)}]{aligned} = {{{lines or '0'}\n}};"
            )
        return self.tables[key]

    def _value(self, value: Value) -> str:
        if isinstance(value, Table):
            return self._table(value)
        if isinstance(value, Struct):
            return f"{{{self._fields(value)}}}"
        if isinstance(value, tuple):
            return "{" + ", ".join(self._value(one) for one in value) + "}"
        return _number(value)

    def _fields(self, struct: Struct) -> str:
        return ", ".join(f".{name} = {self._value(value)}" for name, value in struct.fields.items())

    def _struct(self, struct: Struct, prefix: str) -> str:
        text = f"{{{self._fields(struct)}}}"
        if (struct.tag, text) not in self.structs:
            name = self.structs[struct.tag, text] = f"{prefix}{len(self.structs)}"
            self.parts.append(f"static const struct {struct.tag} {name} = {text};")
        return self.structs[struct.tag, text]

    # Steps

    def _call(self, step: Step, number: int) -> str:
        if step.stages:
            return self._stream(step, number)
        special = self.optimize is not Optimize.SIZE
        arguments, parameters, inner = list[str](), list[str](), list[str]()
        shape = ""
        if step.shape is not None and special:
            shape = f"    static const struct {step.shape.tag} s = {{{self._fields(step.shape)}}};\n"
            inner.append("&s")
        elif step.shape is not None:
            arguments.append(f"&{self._struct(step.shape, 's')}")
            parameters.append(f"const struct {step.shape.tag} *s")
            inner.append("s")
        if step.data is not None:
            arguments.append(f"&{self._struct(step.data, 'd')}")
            parameters.append(f"const struct {step.data.tag} *d")
            inner.append("d")
        for place, operand in enumerate(step.inputs):
            arguments.append(self._place(operand))
            parameters.append(f"const void *x{place}")
            inner.append(f"x{place}")
        arguments.append(self._place(step.output))
        parameters.append("void *y")
        inner.append("y")
        if step.scratch:
            arguments.append(f"a + {self.plan.scratch[number]}")
            parameters.append("void *scratch")
            inner.append("scratch")
        body = f"{shape}    {step.function}({', '.join(inner)});\n"
        return f"{self._function(step.function, ', '.join(parameters), body)}({', '.join(arguments)});"

    def _function(self, kernel: str, parameters: str, body: str) -> str:
        """The name of a function; equal ones are written once."""
        key = (parameters, body)
        if key not in self.functions:
            name = self.functions[key] = f"f{len(self.functions)}_{kernel.removeprefix('ek_')}"
            self.code.append(f"EK_NOINLINE void {name}({parameters})\n{{\n{body}}}\n")
        return self.functions[key]

    def _stream(self, step: Step, number: int) -> str:
        """Steps at work row by row: a table of stages, and a function that runs them."""
        rows = [self._stage(stage) for stage in step.stages]
        name = f"f{len(self.functions)}_stream"
        self.functions[name, ""] = name
        count, places = len(step.stages), len(step.inputs)
        windows = max(stage.offset + stage.rows.window * stage.rows.in_bytes for stage in step.stages)
        work = aligned(windows)
        others = ", ".join(f"x{stage.other}" if stage.other >= 0 else "NULL" for stage in step.stages)
        parameters = ", ".join(f"const void *x{place}" for place in range(places))
        self.code.append(
            f"EK_NOINLINE void {name}({parameters}, void *y, uint8_t *scratch)\n{{\n"
            f"    static const struct ek_stage stages[{count}] = {{\n        " + ",\n        ".join(rows) + "};\n"
            f"    const void *const others[{count}] = {{{others}}};\n    struct ek_progress at[{count}];\n"
            f"    ek_stream(stages, {count}, {step.stages[0].rows.input}, at, x0, others, y, scratch, "
            f"scratch + {work});\n}}\n"
        )
        arguments = [self._place(operand) for operand in (*step.inputs, step.output)]
        return f"{name}({', '.join(arguments)}, a + {self.plan.scratch[number]});"

    def _stage(self, stage: Stage) -> str:
        step, rows = stage.step, stage.rows
        data = f"&{self._struct(step.data, 'd')}" if step.data is not None else "NULL"
        inputs = ["window" if place == rows.place else "other" for place in range(len(step.inputs))]
        inner = ["&s", *(["data"] if step.data else []), *inputs, "y", *(["scratch"] if step.scratch else [])]
        unused = "".join(f"    (void){name};\n" for name in ("data", "other", "scratch") if name not in inner)
        parameters = "const void *data, const void *window, const void *other, void *y, void *scratch"
        shape = f"    static const struct {rows.shape.tag} s = {{{self._fields(rows.shape)}}};\n"
        body = f"{shape}{unused}    {step.function}({', '.join(inner)});\n"
        function = self._function(f"{step.function}_row", parameters, body)
        numbers = (rows.window, rows.stride, rows.top, rows.bottom, rows.in_bytes, rows.out_bytes, rows.zero,
                   stage.offset, rows.in_bytes if stage.other >= 0 else 0)  # fmt: skip
        return f"{{{function}, {data}, {', '.join(map(str, numbers))}}}"

    def _place(self, operand: Operand) -> str:
        if operand.table is not None:
            return self._table(operand.table)
        return f"a + {self.plan.buffers[operand.buffer] + operand.offset}"

    # The frame

    def _head(self) -> str:
        headers = "".join(f'#include "{header}"\n' for header in HEADERS)
        packing = f"#define EK_PACKING EK_PACKING_{self.program.packing.upper()}\n"
        if not any(_has_int4(step) for step in self.program.steps):
            packing += "#define EK_HAS_INT4 0\n"
        return f'/* Written by edgekit. */\n#include "{self.name}.h"\n{packing}{headers}'

    def _ends(self) -> list[str]:
        inputs, outputs = self.program.ends
        steps = [f'    {{"{_quoted(step.title)}", {step.node}}},' for step in self.program.steps]
        return [
            f"static const uint32_t input_bytes[] = {{{_list(t.nbytes for t in inputs)}}};",
            f"static const uint32_t output_bytes[] = {{{_list(t.nbytes for t in outputs)}}};",
            f"static const uint32_t input_place[] = {{{_list(self.plan.buffers[b] for b in self.program.inputs)}}};",
            f"static const uint32_t output_place[] = {{{_list(self.plan.buffers[b] for b in self.program.outputs)}}};",
            "static const struct ek_step steps[] = {\n" + "\n".join(steps or ['    {"nothing", -1},']) + "\n};\n",
        ]

    def _run(self, calls: Sequence[str]) -> str:
        lines = "\n".join(f"    {call}\n    EK_TICK(m);" for call in calls)
        return f"""void {self.name}_run(struct ek_instance *m)
{{
    uint8_t *const a = m->arena;
    (void)a;
    EK_TICK(m);
{lines}
}}
"""

    def _model(self) -> str:
        name = self.name
        return f"""void {name}_init(struct ek_instance *m, void *arena)
{{
    m->arena = arena;
    m->tick = NULL;
    m->context = NULL;
{self._initial()}}}

void *{name}_input(const struct ek_instance *m, uint32_t index)
{{
    return m->arena + input_place[index];
}}

const void *{name}_output(const struct ek_instance *m, uint32_t index)
{{
    return m->arena + output_place[index];
}}

const struct ek_model {name}_model = {{
    EK_MODEL_ABI, "{name}", {len(self.program.inputs)}, {len(self.program.outputs)}, {len(self.program.steps)},
    input_bytes, output_bytes, {self.plan.arena}, steps,
    {name}_init, {name}_input, {name}_output, {name}_run,
}};
"""

    def _initial(self) -> str:
        """What variables hold before the first run."""
        lines = []
        for buffer, table in self.program.initial.items():
            place, values = f"m->arena + {self.plan.buffers[buffer]}", table.values.reshape(-1).view(np.uint8)
            if np.all(values == values[:1]):
                lines.append(f"    ek_fill({place}, {int(values[0]) if values.size else 0}, {values.size});\n")
            else:
                lines.append(f"    ek_copy({place}, {self._table(table)}, {values.size});\n")
        return "".join(lines)

    def _header(self) -> str:
        name, upper = self.name, self.name.upper()
        lines = [f"#define {upper}_ARENA_BYTES {self.plan.arena}", f"#define {upper}_STEPS {len(self.program.steps)}"]
        for side, tensors in zip(("INPUT", "OUTPUT"), self.program.ends, strict=True):
            lines.append(f"#define {upper}_{side}S {len(tensors)}")
            for number, tensor in enumerate(tensors):
                lines += [f"#define {upper}_{side}_{number}_{key} {value}" for key, value in _described(tensor)]
        return f"""/* Written by edgekit. */
#ifndef {upper}_H
#define {upper}_H

#include "ek_model.h"

{chr(10).join(lines)}

#ifdef __cplusplus
extern "C" {{
#endif

extern const struct ek_model {name}_model;

/* The same by their own names; ek_model.h says what they do. */
void {name}_init(struct ek_instance *instance, void *arena);
void *{name}_input(const struct ek_instance *instance, uint32_t index);
const void *{name}_output(const struct ek_instance *instance, uint32_t index);
void {name}_run(struct ek_instance *instance);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _has_int4(step: Step) -> bool:
    """Whether a step, or one of a stream, reads weights of four bits."""
    if step.stages:
        return any(_has_int4(stage.step) for stage in step.stages)
    flags = step.shape.fields.get("flags", 0) if step.shape is not None else 0
    return isinstance(flags, int) and bool(flags & INT4)


def _described(tensor: Tensor) -> Iterable[tuple[str, str]]:
    yield "TYPE", C_TYPES.get(tensor.dtype, "uint8_t")
    yield "BYTES", str(tensor.nbytes)
    yield "ELEMENTS", str(math.prod(tensor.shape))
    if tensor.quantization is not None and tensor.has_scale:
        yield "SCALE", _number(float(np.float32(tensor.quantization.scale[0])))
        yield "ZERO_POINT", _number(int(tensor.quantization.zero_point[0]))


def _list(values: Iterable[int]) -> str:
    return ", ".join(map(str, values)) or "0"


def _quoted(text: str) -> str:
    return re.sub(r'[^ -~]|["\\?]', "_", text)[:60]


def _numbers(values: Any) -> list[str]:
    flat = values.reshape(-1)
    if flat.dtype.kind == "f":
        return [_number(float(value)) for value in flat]
    return list(map(_number if flat.itemsize >= 4 else str, flat.astype(np.int64).tolist()))


def _number(value: int | float) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "(0.0f / 0.0f)"
        if math.isinf(value):
            return "(1.0f / 0.0f)" if value > 0 else "(-1.0f / 0.0f)"
        return f"{value.hex()}f"
    if value == -(1 << 31):
        return "(-2147483647 - 1)"
    if value == -(1 << 63):
        return "(-9223372036854775807LL - 1)"
    return f"{value}LL" if abs(value) >= 1 << 31 else str(value)


def _lines(numbers: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(numbers), PER_LINE):
        yield numbers[start : start + PER_LINE]
