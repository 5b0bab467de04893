"""Program -> the files that the host program in ``firmware_stubs/gpu`` runs: plan, kernels, weights; and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.gpu import kernels
from edgekit.backends.gpu.dialect import Dialect
from edgekit.codegen import loops
from edgekit.codegen.program import Argument, Buffer, Call, Program, packed
from edgekit.errors import DeviceError, ModelError
from edgekit.files.documents import write_text

PLAN, WEIGHTS = "network.plan", "weights.bin"


HALF_MOST = 65504.0
"""The largest float16."""


@dataclass(frozen=True)
class Form:
    """How numbers are kept.

    :param activations: ``float32`` or ``float16``.
    :param weights: these, or ``exact``: float16 where that loses nothing.
    :param isolated: the network is taken apart to judge its operators one by one. Each result is stored as inside a
        network and copied to its output from there, so that what is judged is the arithmetic that runs.
    """

    activations: str = "float32"
    weights: str = "float32"
    isolated: bool = False


HALVES = Form("float16", "float16")


@dataclass(frozen=True)
class Launch:
    """One kernel of a plan: its function, its operator (-1: none), and what one inference does there."""

    name: str
    function: str
    node: int
    work_items: int
    flops: int
    read_bytes: int
    written_bytes: int

    def counts(self) -> dict[str, int]:
        """The launch's cost, by the names in the JSON of ``profile``."""
        return {
            "launches": 1, "work_items": self.work_items, "flops": self.flops, "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
        }  # fmt: skip


def files(dialect: Dialect) -> tuple[str, str, str]:
    """Names of the files in the artifact: plan, source, weights."""
    return PLAN, dialect.source, WEIGHTS


def write(program: Program, form: Form, runtime: str, folder: Path, dialect: Dialect) -> int:
    """Write the three :func:`files` into ``folder``; return the bytes of activations."""
    program = program if form.isolated else without_copies(program)
    types = {n: _type(program, n, form) for n in range(len(program.buffers))}
    program = replace(program, buffers=[_sized(b, types[n]) for n, b in enumerate(program.buffers)])
    placed = program.placements()
    places, arena = placed.buffers, placed.arena
    used = {argument.buffer for call in program.calls for argument in call.args}
    constants = {n: b.data for n, b in enumerate(program.buffers) if n in used and b.data is not None}
    stored = {n: stored_as(data, form) for n, data in constants.items()}
    types |= {n: str(data.dtype) for n, data in stored.items()}
    blob, offsets = packed(stored)
    functions: dict[Any, tuple[str, kernels.Function]] = {}
    texts, rows = [], []
    cleared: set[int] = set()
    for call in program.calls:
        inputs = call.args[:-1]
        arguments = tuple((a.buffer in stored, types[a.buffer]) for a in inputs)
        made_type = types[call.args[-1].buffer]
        key = call.loops, arguments, made_type
        if key not in functions:
            name = f"k{len(functions)}_{call.loops.name}"
            text, made = kernels.make(call.loops, name, arguments, made_type, dialect)
            texts.append(text)
            functions[key] = name, made
        name, made = functions[key]
        out = call.args[-1].buffer
        clear = (0, 0)
        halo = program.buffers[out].halo
        if out not in cleared and halo is not None:  # of PAD
            if halo.value:
                raise ModelError(f"operator {call.node} pads with {halo.value}", "pad with 0 for GPUs")
            cleared.add(out)
            clear = program.buffers[out].nbytes, places[out]
        read = sum(_bytes(call, a, types[a.buffer]) for a in inputs)
        written = _bytes(call, call.args[-1], made_type)
        rows += [
            f"kernel {call.loops.title}", f"function {name}", f"node {call.node}",
            "launch " + " ".join(map(str, (*made.size, *clear, len(call.args)))),
            f"cost {made.flops} {read} {written}",
            *(f"argument {int(a.buffer in stored)} {(offsets if a.buffer in stored else places)[a.buffer]}"
              for a in call.args),
        ]  # fmt: skip
    ports = [
        f"{side} {program.buffers[i].nbytes} {places[i]}"
        for side, buffers in (("input", program.inputs), ("output", program.outputs))
        for i in buffers
    ]
    counts = f"counts {len(program.inputs)} {len(program.outputs)} {len(program.calls)}"
    head = ["edgekit-plan 1", f"runtime {runtime}", f"bytes {arena} {len(blob)}", counts]
    write_text(folder / PLAN, "\n".join([*head, *ports, *rows]) + "\n")
    write_text(folder / dialect.source, dialect.head() + "\n".join(texts))
    (folder / WEIGHTS).write_bytes(blob)
    for name in files(dialect):
        (folder / name).chmod(0o644)
    return arena


def without_copies(program: Program) -> Program:
    """The program without the copies that only fill outputs: these are read from where they were made."""
    sources: dict[int, int] = {}
    for call in program.calls:
        given, made = call.args[0].buffer, call.args[-1].buffer
        copies = isinstance(call.loops, loops.Map) and call.loops.function == "copy"
        fills = copies and call.node < 0 and made in program.outputs
        if fills and program.buffers[given].nbytes == program.buffers[made].nbytes:
            sources[made] = given
    kept = [call for call in program.calls if call.args[-1].buffer not in sources]
    outputs = [sources.get(i, i) for i in program.outputs]
    return replace(program, calls=kept, outputs=outputs)


def read(path: Path) -> list[Launch]:
    """The launches of a plan, in order.

    :raises DeviceError: if the file is damaged or missing.
    """
    found: list[Launch] = []
    try:
        fields: dict[str, str] = {}
        for line in path.read_text().splitlines():
            word, _, rest = line.partition(" ")
            fields[word] = rest
            if word == "cost":
                items = math.prod([int(n) for n in fields["launch"].split()[:3]])
                flops, given, made = (int(n) for n in rest.split())
                found.append(
                    Launch(fields["kernel"], fields["function"], int(fields["node"]), items, flops, given, made)
                )
    except (OSError, ValueError, KeyError) as error:
        raise DeviceError(f"{path.name} is damaged: {error!r}", "compile the bundle again") from error
    return found


def _type(program: Program, number: int, form: Form) -> str:
    """What the elements of a buffer are; a float network's inputs and outputs are float32."""
    if program.buffers[number].dtype != "float32":
        return program.buffers[number].dtype
    inner = program.buffers[number].kind == "arena" and number not in program.outputs
    return "float16" if inner and form.activations == "float16" else "float32"


def _sized(buffer: Buffer, dtype: str) -> Buffer:
    """The buffer in bytes of ``dtype``, a multiple of four."""
    return buffer if dtype != "float16" else replace(buffer, nbytes=-(-buffer.nbytes // 2 // 4) * 4)


def stored_as(data: NDArray[Any], form: Form) -> NDArray[Any]:
    """A constant as it is kept; integers stay, and what float16 cannot hold stays float32."""
    if data.dtype.kind in "iub":
        return data
    whole = data.astype(np.float32)
    if form.weights == "float32" or np.abs(whole).max(initial=0) > HALF_MOST:
        return whole
    half = whole.astype(np.float16)
    return half if form.weights == "float16" or np.array_equal(half.astype(np.float32), whole) else whole


def _bytes(call: Call, argument: Argument, dtype: str) -> int:
    """What a kernel moves of an argument, each byte once."""
    count = math.prod(argument.shape)
    if isinstance(call.loops, kernels.STRIDED):
        reduced = call.loops.reduced if isinstance(call.loops, loops.Accumulate) else ()
        inner = () if argument is call.args[-1] else reduced
        count = min(count, math.prod((*call.loops.shape, *inner)))
    return count * np.dtype(dtype).itemsize
