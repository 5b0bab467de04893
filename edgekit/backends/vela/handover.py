"""What a bundle for Ethos-U says: ``vela.json`` (placement, cycles, memory) and the instructions for the board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.backends.vela import core
from edgekit.files.documents import dumps, write_text

if TYPE_CHECKING:
    from edgekit.backends.c99.emit import Source
    from edgekit.backends.vela.compiler import Compiled
    from edgekit.backends.vela.structure import Part
    from edgekit.graph import Graph
    from edgekit.target import Target

REPORT, INSTRUCTIONS = "vela.json", "DEPLOY.md"


def write(
    graph: Graph, target: Target, compiled: Compiled, parts: Sequence[Part], codes: Sequence[Source], folder: Path
) -> None:
    """Write both files into an artifact's folder."""
    write_text(folder / REPORT, dumps(_report(graph, target, compiled, parts)) + "\n")
    write_text(folder / INSTRUCTIONS, _instructions(graph, target, compiled, parts, codes))


def _report(graph: Graph, target: Target, compiled: Compiled, parts: Sequence[Part]) -> dict[str, Any]:
    npu = target.neural
    on_npu = {n for part in parts if part.npu for n in part.operators}
    operators = []
    for index, operator in enumerate(graph.operators):
        own = [o for o in compiled.operations if o.source == index]
        operators.append(
            {
                "index": index, "operator": operator.op, "on": "npu" if index in on_npu else "core",
                "cycles": sum(o.cycles for o in own) if index in on_npu else None,
                "npu_cycles": sum(o.npu_cycles for o in own) if index in on_npu else None,
                "operations": [o.operator for o in own] if index in on_npu else [],
                "reason": compiled.reasons.get(index, "") if index not in on_npu else "",
            }
        )  # fmt: skip
    number, rows = 0, []
    for part in parts:
        rows.append(
            {
                "on": "npu" if part.npu else "core", "operators": list(part.operators),
                "inputs": [graph.tensors[i].name for i in part.inputs],
                "outputs": [graph.tensors[i].name for i in part.outputs],
                "code": "" if part.npu else f"{core.FOLDER}/{core.name(number)}.c",
            }
        )  # fmt: skip
        number += not part.npu
    return {
        "schema": 1, "accelerator": npu.accelerator, "system_config": npu.system_config,
        "memory_mode": npu.memory_mode, "clock_mhz": compiled.clock_hz / 1e6, "cycles": compiled.cycles,
        "memory_bytes": dict(compiled.memory), "parts": rows, "operators": operators,
    }  # fmt: skip


_SHARED = """The commands and the weights stay in flash, where the NPU reads them through its second port; the arena is
in SRAM that the core and the NPU share."""
_DEDICATED = """The commands, the weights and the arena are in DRAM; the SRAM is the NPU's own, and the driver is given
its address and size as fast memory."""


def _instructions(
    graph: Graph, target: Target, compiled: Compiled, parts: Sequence[Part], codes: Sequence[Source]
) -> str:
    npu = target.neural
    taken = len({n for part in parts if part.npu for n in part.operators})
    left = {n for part in parts if not part.npu for n in part.operators}
    series = npu.accelerator.split("-")[1].upper()
    memory = _SHARED if npu.memory_mode.startswith("Shared") else _DEDICATED
    text = f"""# Deploying on {target.name}

`network_vela.tflite` is the network as vela compiled it: {taken} of its operators are in {_count(parts, True)} custom
operators `ethos-u`, {len(left)} run on the core.
Accelerator {npu.accelerator}, system configuration {npu.system_config}, memory mode {npu.memory_mode} of vela's
`Arm/vela.ini`. The board's NPU must be that accelerator; the driver refuses commands for another one.

| Memory | Bytes |
|---|---|
{_memory_rows(compiled)}

{memory}

## With TensorFlow Lite Micro
1. Build the driver `ethos-u-core-driver` for {series} (`ETHOSU_TARGET_NPU_CONFIG={npu.accelerator}`), and call
   `ethosu_init` with the NPU's base address and interrupt when the board starts.
2. Register the operators: `AddEthosU()`{_registrations(graph, left)}.
3. Load `network_vela.tflite`, 16-byte aligned, and run it as any other network. The kernel `ethos-u` hands the commands
   to the driver with `ethosu_invoke_v3`, and gives it the addresses of constants, arena, fast memory, inputs and
   outputs, in the order of the custom operator's inputs after the commands.

Boards: Arm's Corstone-300 and Corstone-310 (MPS3, and their FVP models) for Ethos-U55 and U65, Corstone-320 for U85;
Alif Ensemble E3 and others for U55; NXP i.MX 93 for U65, where the Linux delegate `ethosu_delegate` loads this file,
too.
"""
    if codes:
        text += f"""
## Without an interpreter
`{core.FOLDER}/` has the operators that run on the core as C99 (`-I {core.FOLDER}/{core.KERNELS}`). `vela.json`
lists the parts in the order of execution, with the tensors that pass between them. Each C file declares one
`struct ek_model` ({core.KERNELS}/ek_model.h): write its inputs, call `run`, read its outputs; between them, call the
driver.

| File | Arena, bytes |
|---|---|
"""
        text += "\n".join(f"| `{core.FOLDER}/{code.name}.c` | {code.memory.arena} |" for code in codes) + "\n"
    return (
        text
        + """
## What is proven
The custom operators are not executed anywhere but on the board: no emulator of the NPU is at hand. `edgekit verify`
checks the structure of the compiled network, and runs the operators of the core. Compare the board's outputs with
`golden.npz`.
"""
    )


def _count(parts: Sequence[Part], npu: bool) -> int:
    return sum(part.npu == npu for part in parts)


def _memory_rows(compiled: Compiled) -> str:
    return "\n".join(f"| {kind.replace('_', ' ')} | {size} |" for kind, size in compiled.memory.items() if size)


def _registrations(graph: Graph, left: set[int]) -> str:
    names = sorted({graph.operators[n].op for n in left})
    return f" and those of the core: {', '.join(names)}" if names else ", which is the only one"
