"""Program -> the files that the host program in ``firmware_stubs/gpu`` runs: plan, kernels, weights; and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.opencl import kernels
from edgekit.backends.tvm.program import Kernel, Program, View, product
from edgekit.errors import DeviceError

PLAN, SOURCE, WEIGHTS = "network.plan", "kernels.cl", "weights.bin"
FILES = (PLAN, SOURCE, WEIGHTS)


@dataclass(frozen=True)
class Launch:
    """One kernel of a plan: its operator (-1: none), and what one inference does there."""

    name: str
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


def write(program: Program, halves: bool, runtime: str, folder: Path) -> None:
    """Write the three files into ``folder``.

    :param halves: keep constants as float16 where that loses nothing.
    """
    program = without_copies(program)
    places, arena = program.placements()
    used = {view.storage for kernel in program.kernels for view in kernel.args}
    constants = {n: s.data for n, s in enumerate(program.storages) if n in used and s.data is not None}
    stored = {n: _stored(data, halves) for n, data in constants.items()}
    blob, offsets = _blob(stored)
    functions: dict[str, tuple[str, kernels.Function]] = {}
    texts, rows = [], []
    cleared: set[int] = set()
    for kernel in program.kernels:
        inputs = kernel.args[:-1]
        arguments = [
            (v.storage in stored, str(stored[v.storage].dtype) if v.storage in stored else "float32") for v in inputs
        ]
        key = json.dumps([kernel.template, kernel.params, arguments], sort_keys=True)
        if key not in functions:
            name = f"k{len(functions)}_{kernel.template}"
            text, made = kernels.make(kernel.template, kernel.params, name, arguments)
            texts.append(text)
            functions[key] = name, made
        name, made = functions[key]
        out = kernel.args[-1].storage
        clear = (0, 0)
        if out not in cleared and program.storages[out].border is not None:  # made by PAD
            cleared.add(out)
            clear = program.storages[out].nbytes, places[out]
        read = sum(_bytes(kernel, v, stored) for v in inputs)
        written = _bytes(kernel, kernel.args[-1], stored)
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
    (folder / PLAN).write_text("\n".join([*head, *ports, *rows]) + "\n")
    (folder / SOURCE).write_text("\n".join(texts))
    (folder / WEIGHTS).write_bytes(blob)


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
                found.append(Launch(fields["kernel"], int(fields["node"]), items, flops, given, made))
    except (OSError, ValueError, KeyError) as error:
        raise DeviceError(f"{path.name} is damaged: {error!r}", "compile the bundle again") from error
    return found


def _title(kernel: Kernel) -> str:
    size = "x".join(map(str, kernel.params.get("shape", kernel.params.get("size", []))))
    return f"{kernel.params.get('function', kernel.template)} {size}"


def _stored(data: NDArray[Any], halves: bool) -> NDArray[Any]:
    if data.dtype == np.int32:  # places
        return data
    half = data.astype(np.float16) if halves and np.abs(data).max(initial=0) < 65504 else None
    if half is not None and np.array_equal(half.astype(np.float32), data):
        return half
    return data.astype(np.float32)


def _blob(stored: dict[int, NDArray[Any]]) -> tuple[bytes, dict[int, int]]:
    """All constants in one piece, each at a multiple of 64 bytes, equal ones once; and their offsets."""
    blob, offsets, known = bytearray(), {}, {}
    for number, values in stored.items():
        data = np.ascontiguousarray(values).tobytes()
        if data not in known:
            blob += b"\0" * (-len(blob) % 64)
            known[data] = len(blob)
            blob += data
        offsets[number] = known[data]
    return bytes(blob), offsets


def _bytes(kernel: Kernel, view: View, stored: dict[int, NDArray[Any]]) -> int:
    """What a kernel moves of an argument, each byte once."""
    nbytes = int(stored[view.storage].nbytes) if view.storage in stored else product(view.shape) * 4
    if kernel.template not in kernels.STRIDED:
        return nbytes
    inner = [] if view is kernel.args[-1] else kernel.params.get("reduced", [])
    return min(nbytes, product([*kernel.params["shape"], *inner]) * 4)
