"""Other tools that write networks as C, beside the C99 backend, on this machine: instructions and memory.

emx-onnx-cgen and heliaAOT each run in an environment of their own, which uv makes in ``build/bench``. Instructions of
one inference are counted by valgrind (exact, so that turns are not needed): those of two inferences less those of
one. Each network is given to emx-onnx-cgen as the ONNX file that edgekit's writer makes of it, so an int8 network as
QDQ. What heliaAOT writes calls Arm's CMSIS-NN, whose sources no package ships, so its instructions cannot be counted
here.

Rewrites the table in docs/benchmarks.md: make bench-generators.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import page

from edgekit.backends.c99 import C99, emit
from edgekit.graph import Graph
from edgekit.readers import ReadOptions
from edgekit.readers.tflite import TFLiteReader
from edgekit.target import load
from edgekit.writers import onnx

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
WORK = ROOT / "build" / "bench" / "generators"
MODELS = ROOT.parent / "shared" / "models"
NETWORKS = [f"mlperf_tiny/{name}_{kind}" for kind in ("int8", "fp32") for name in ("ic_resnet8", "kws", "ad01")]
NETWORKS.insert(3, "tflite_micro/person_detect")
EMX, HELIA = "emx-onnx-cgen==1.4.0", "helia-aot==1.1.0"
FLAGS = ("-O2", "-std=gnu11", "-w")
UNITS = {"B": 1, "KB": 1024, "MB": 1 << 20}


@dataclass(frozen=True)
class Result:
    """What a tool made of a network: bytes of working memory, instructions of one inference, or why not."""

    memory: int | None = None
    instructions: int | None = None
    failed: str = ""


def main() -> int:
    if not MODELS.is_dir() or shutil.which("valgrind") is None:
        print("this needs ../shared/models and valgrind (apt-get install valgrind)")
        return 4
    rows = []
    for name in NETWORKS:
        print(name, flush=True)
        graph = TFLiteReader().read(MODELS / f"{name}.tflite", ReadOptions())
        folder = WORK / Path(name).name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rows.append((Path(name).name, graph, edgekit(graph, folder), emx(graph, folder), helia(name, folder)))
        print(*rows[-1][2:], sep="\n", flush=True)
    page.write(PAGE, {"generators": table(rows)})
    return 0


def edgekit(graph: Graph, folder: Path) -> Result:
    backend = C99().configured({"optimize": "ram"})
    plan = backend.plan(graph, load("host"))
    if isinstance(plan, list):
        return Result(failed=plan[0].words())
    source = emit.source(backend.arranged(plan), "model")
    (folder / "model.c").write_text(source.code)
    (folder / "model.h").write_text(source.header)
    (folder / "main.c").write_text(
        """#include <stdlib.h>
#include "model.h"
static uint8_t arena[MODEL_ARENA_BYTES] __attribute__((aligned(16)));
int main(int count, char **given)
{
    struct ek_instance m;
    model_init(&m, arena);
    for (int i = 0; i < atoi(given[count - 1]); i++)
        model_run(&m);
    return 0;
}
"""
    )
    kernels = ROOT / "firmware_stubs" / "kernels"
    return Result(source.memory.arena, counted(folder, "edgekit", ["model.c", "main.c", f"-I{kernels}", "-lm"]))


def emx(graph: Graph, folder: Path) -> Result:
    onnx.write(graph, folder / "network.onnx")
    tool = installed("emx", EMX) / "emx-onnx-cgen"
    done = subprocess.run(
        [tool, "compile", "network.onnx", "emx.c", "--model-name", "network"], cwd=folder, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return Result(failed=(done.stdout + done.stderr).strip().splitlines()[-1][:120])
    code = (folder / "emx.c").read_text()
    head = re.findall(r"^void network\((.*?)\) \{", code, re.MULTILINE)[-1]
    names = re.findall(r"(\w+ \w+)\[restrict (\d+)\]((?:\[\d+\])*)", head)
    buffers = [f"static {name.removeprefix('const ')} [{first}]{rest};" for name, first, rest in names]
    buffers = [re.sub(r" \[", "[", one, count=1) for one in buffers]
    given = ", ".join(name.split()[-1] for name, _, _ in names)
    (folder / "main.c").write_text(
        '#include <stdlib.h>\n#include "emx.c"\n' + "\n".join(buffers)
        + f"\nint main(int count, char **given)\n{{\n    for (int i = 0; i < atoi(given[count - 1]); i++)\n"
        f"        network({given});\n    return 0;\n}}\n"
    )  # fmt: skip
    instructions = counted(folder, "emx", ["main.c", "-lm"])
    return Result(heap(folder, "emx"), instructions)


def heap(folder: Path, name: str) -> int:
    """Bytes that a program has on the heap at most: emx-onnx-cgen allocates what lies between operators."""
    record = folder / "massif.out"
    subprocess.run(
        ["valgrind", "--tool=massif", f"--massif-out-file={record}", f"./{name}", "1"], cwd=folder, capture_output=True,
        check=True,
    )  # fmt: skip
    return max(int(value) for value in re.findall(r"mem_heap_B=(\d+)", record.read_text()))


def helia(name: str, folder: Path) -> Result:
    tool = installed("helia", HELIA) / "helia-aot"
    done = subprocess.run(
        [tool, "convert", "--model.path", MODELS / f"{name}.tflite", "--module.path", folder / "helia", "--module.type",
         "cmake", "--force"],
        capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )  # fmt: skip
    if done.returncode != 0:
        text = " ".join((done.stdout + done.stderr).split())
        return Result(failed=text[text.find("Error:") :][:120])
    found = re.search(r"scratch[^\n]*?([\d.]+) (B|KB|MB)", done.stdout)
    return Result(round(float(found[1]) * UNITS[found[2]]) if found else None)


def installed(name: str, requirement: str) -> Path:
    """The programs of a tool, in an environment of its own."""
    place = WORK.parent / name
    if not (place / "bin").is_dir():
        uv = Path(sys.executable).with_name("uv")
        environment = {**os.environ, "PYENV_VERSION": "3.11.7:3.12.1"}
        subprocess.run([uv, "venv", "-q", "-p", "3.12", place], check=True, env=environment)
        subprocess.run([uv, "pip", "install", "-q", "-p", place, requirement], check=True)
    return place / "bin"


def counted(folder: Path, name: str, sources: Sequence[str]) -> int:
    """Instructions of one inference."""
    subprocess.run(["gcc", *FLAGS, *sources, "-o", name, "-lm"], cwd=folder, check=True)
    totals = []
    for runs in ("1", "2"):
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"./{name}", runs], cwd=folder,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        totals.append(int(re.findall(r"Collected : (\d+)", done.stderr)[0]))
    return totals[1] - totals[0]


def table(rows: Sequence[tuple[str, Graph, Result, Result, Result]]) -> str:
    lines = [
        "| Network | Operators | edgekit: instructions | emx-onnx-cgen | ratio | edgekit: working memory "
        "| emx-onnx-cgen | heliaAOT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, graph, own, other, third in rows:
        ratio = f"{other.instructions / own.instructions:.1f}" if own.instructions and other.instructions else ""
        cells = [name, str(len(graph.operators)), number(own), number(other), ratio, *map(size, (own, other, third))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(result: Result) -> str:
    return f"{result.instructions:,}" if result.instructions else result.failed or "not counted"


def size(result: Result) -> str:
    return f"{result.memory:,} bytes" if result.memory else result.failed or "not stated"


if __name__ == "__main__":
    sys.exit(main())
