"""Program -> the files that the host program in ``firmware_stubs/gpu`` runs: plan, kernels, weights; and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.gpu import kernels
from edgekit.backends.gpu.dialect import Dialect
from edgekit.backends.tvm.program import Kernel, Program, Storage, View, packed, product
from edgekit.documents import write_text
from edgekit.errors import DeviceError, ModelError

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
        return {
            "launches": 1, "work_items": self.work_items, "flops": self.flops, "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
        }  # fmt: skip


def files(dialect: Dialect) -> tuple[str, str, str]:
    """Names of the files in the artifact: plan, source, weights."""
    return PLAN, dialect.source, WEIGHTS


def write(program: Program, form: Form, runtime: str, folder: Path, dialect: Dialect) -> None:
    """Write the three :func:`files` into ``folder``."""
    program = program if form.isolated else without_copies(program)
    types = {n: _type(program, n, form) for n in range(len(program.storages))}
    program = replace(program, storages=[_sized(s, types[n]) for n, s in enumerate(program.storages)])
    places, arena = program.placements()
    used = {view.storage for kernel in program.kernels for view in kernel.args}
    constants = {n: s.data for n, s in enumerate(program.storages) if n in used and s.data is not None}
    stored = {n: stored_as(data, form) for n, data in constants.items()}
    types |= {n: str(data.dtype) for n, data in stored.items()}
    blob, offsets = packed(stored)
    functions: dict[str, tuple[str, kernels.Function]] = {}
    texts, rows = [], []
    cleared: set[int] = set()
    for kernel in program.kernels:
        inputs = kernel.args[:-1]
        arguments = [(v.storage in stored, types[v.storage]) for v in inputs]
        made_type = types[kernel.args[-1].storage]
        key = json.dumps([kernel.template, kernel.params, arguments, made_type], sort_keys=True)
        if key not in functions:
            name = f"k{len(functions)}_{kernel.template}"
            text, made = kernels.make(kernel.template, kernel.params, name, arguments, made_type, dialect)
            texts.append(text)
            functions[key] = name, made
        name, made = functions[key]
        out = kernel.args[-1].storage
        clear = (0, 0)
        border = program.storages[out].border
        if out not in cleared and border is not None:  # made by PAD
            if border.value:
                raise ModelError(f"operator {kernel.node} pads with {border.value}", "pad with 0 for GPUs")
            cleared.add(out)
            clear = program.storages[out].nbytes, places[out]
        read = sum(_bytes(kernel, v, types[v.storage]) for v in inputs)
        written = _bytes(kernel, kernel.args[-1], made_type)
        rows += [
            f"kernel {_title(kernel)}", f"function {name}", f"node {kernel.node}",
            "launch " + " ".join(map(str, (*made.size, *clear, len(kernel.args)))),
            f"cost {made.flops} {read} {written}",
            *(f"argument {int(v.storage in stored)} {(offsets if v.storage in stored else places)[v.storage]}"
              for v in kernel.args),
        ]  # fmt: skip
    ports = [
        f"{side} {program.storages[i].nbytes} {places[i]}"
        for side, storages in (("input", program.inputs), ("output", program.outputs))
        for i in storages
    ]
    counts = f"counts {len(program.inputs)} {len(program.outputs)} {len(program.kernels)}"
    head = ["edgekit-plan 1", f"runtime {runtime}", f"bytes {arena} {len(blob)}", counts]
    write_text(folder / PLAN, "\n".join([*head, *ports, *rows]) + "\n")
    write_text(folder / dialect.source, dialect.head() + "\n".join(texts))
    (folder / WEIGHTS).write_bytes(blob)
    for name in files(dialect):
        (folder / name).chmod(0o644)


def without_copies(program: Program) -> Program:
    """The program without the copies that only fill outputs: these are read from where they were made."""
    sources: dict[int, int] = {}
    for kernel in program.kernels:
        given, made = kernel.args[0].storage, kernel.args[-1].storage
        copies = kernel.params.get("function") == "copy" and kernel.node < 0 and made in program.outputs
        if copies and program.storages[given].nbytes == program.storages[made].nbytes:
            sources[made] = given
    kept = [k for k in program.kernels if k.args[-1].storage not in sources]
    outputs = [sources.get(i, i) for i in program.outputs]
    return replace(program, kernels=kept, outputs=outputs)


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
                items = product([int(n) for n in fields["launch"].split()[:3]])
                flops, given, made = (int(n) for n in rest.split())
                found.append(
                    Launch(fields["kernel"], fields["function"], int(fields["node"]), items, flops, given, made)
                )
    except (OSError, ValueError, KeyError) as error:
        raise DeviceError(f"{path.name} is damaged: {error!r}", "compile the bundle again") from error
    return found


def _title(kernel: Kernel) -> str:
    size = "x".join(map(str, kernel.params.get("shape", kernel.params.get("size", []))))
    return f"{kernel.params.get('function', kernel.template)} {size}"


def _type(program: Program, number: int, form: Form) -> str:
    """What the elements of a storage are; a float network's inputs and outputs are float32."""
    if program.storages[number].dtype != "float32":
        return program.storages[number].dtype
    inner = program.storages[number].kind == "arena" and number not in program.outputs
    return "float16" if inner and form.activations == "float16" else "float32"


def _sized(storage: Storage, dtype: str) -> Storage:
    """The storage in bytes of ``dtype``, a multiple of four."""
    return storage if dtype != "float16" else replace(storage, nbytes=-(-storage.nbytes // 2 // 4) * 4)


def stored_as(data: NDArray[Any], form: Form) -> NDArray[Any]:
    """A constant as it is kept; integers stay, and what float16 cannot hold stays float32."""
    if data.dtype.kind in "iub":
        return data
    whole = data.astype(np.float32)
    if form.weights == "float32" or np.abs(whole).max(initial=0) > HALF_MOST:
        return whole
    half = whole.astype(np.float16)
    return half if form.weights == "float16" or np.array_equal(half.astype(np.float32), whole) else whole


def _bytes(kernel: Kernel, view: View, dtype: str) -> int:
    """What a kernel moves of an argument, each byte once."""
    count = product(view.shape)
    if kernel.template in kernels.STRIDED:
        inner = [] if view is kernel.args[-1] else kernel.params.get("reduced", [])
        count = min(count, product([*kernel.params["shape"], *inner]))
    return count * np.dtype(dtype).itemsize
