"""Builds the simulator of an accelerator's configuration: RTL -> C++ -> a program, once, found again by its digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Lock

from edgekit import resources, sandbox
from edgekit.backends import runner_build
from edgekit.codegen.schedule.overlay import Machine
from edgekit.errors import EdgekitError, ToolMissing
from edgekit.files import temporary
from edgekit.progress import Progress
from edgekit.sandbox.environment import NEUTRAL, clean
from edgekit.tools import toolchain

SOURCES = (
    "ek_ram.sv", "ek_fifo.sv", "ek_stream.sv", "ek_array.sv", "ek_activations.sv", "ek_accumulators.sv",
    "ek_requantize.sv", "ek_vector.sv", "ek_loader.sv", "ek_issue.sv", "ek_drain.sv", "ek_overlay.sv",
)  # fmt: skip
MAIN = "sim/simulate.cpp"
TOP, PROGRAM = "ek_overlay", "simulate"
TOGETHER = 4 << 20
"""Bytes of C++ that are compiled at once: seconds."""
LOG_DEPTH = 2048
"""Commands whose counters the simulator keeps; it changes no cycle."""
FLAGS = ("--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert")
_LIMITS = sandbox.Limits(seconds=900, memory_mb=8192, file_mb=256)
_lock = Lock()


def sources() -> Path:
    """The folder of the RTL."""
    return resources.folder("firmware_stubs") / "fpga"


def built(machine: Machine, progress: Progress) -> Path:
    """Return the simulator of an accelerator's configuration, from edgekit's cache where it was built before.

    :raises ToolMissing: if Verilator is not installed.
    """
    folder = sources()
    parameters = {**machine.parameters(), "LOG_DEPTH": LOG_DEPTH}
    flags = [*FLAGS, *(f"-G{name}={value}" for name, value in parameters.items())]
    defines = [f"-DMEM_BITS={machine.mem_bits}", f"-DLOG_DEPTH={LOG_DEPTH}"]
    content = {name: (folder / name).read_bytes() for name in (*SOURCES, MAIN)}
    message = f"build the simulator of {machine.ic}x{machine.oc} lanes: half a minute, once"
    return compiled(TOP, SOURCES, MAIN, content, flags, defines, progress, message)


def compiled(
    top: str, design: Sequence[str], main: str, content: Mapping[str, bytes], flags: Sequence[str],
    defines: Sequence[str], progress: Progress, message: str, *, once: bool = False,
) -> Path:  # fmt: skip
    """Return the simulator of a design, from edgekit's cache where it was built before.

    :param top: the design's top module. :param design: names of its files, ``main``: of the C++ around it;
        ``content``: of these, and of what they read. :param message: of a step that may take long.
        ``once``: it is short and will run a few cycles, so that compiling counts, not speed.
    :raises ToolMissing: if Verilator is not installed. :raises EdgekitError: if the design does not compile.
    """
    tool, compiler = (toolchain.load(name).find() for name in ("verilator", "host-cxx"))
    design_flags = [*flags, "--top-module", top]
    options = [*defines, "-O0" if once else "-O2"]
    key = hashlib.sha256(json.dumps([*map(runner_build.describe, (tool, compiler)), design_flags, options]).encode())
    for name, data in content.items():
        key.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    program = resources.cache("simulators") / f"{top}-{key.hexdigest()[:16]}" / PROGRAM
    with _lock:
        if program.is_file():
            return program
        progress.step(message)
        with temporary.folder(resources.created(program.parent)) as scratch:
            for name, data in content.items():
                (scratch / name).parent.mkdir(exist_ok=True)
                (scratch / name).write_bytes(data)
            _run([*tool.argv, *design_flags, *design, main, "-Mdir", "obj"], scratch)
            objects = _objects(scratch, compiler, options, _root(tool), main)
            for path in _library(compiler, options[-1], _root(tool)):
                objects.append(f"library-{path.name}")
                shutil.copyfile(path, scratch / objects[-1])
            _run([*compiler.argv, "-o", PROGRAM, *objects, "-pthread"], scratch)
            (scratch / PROGRAM).chmod(0o755)
            os.replace(scratch / PROGRAM, program)
    return program


def _objects(
    folder: Path, compiler: toolchain.Tool, options: Sequence[str], root: Path, main: str
) -> list[str]:  # fmt: skip
    """Compile Verilator's C++ and the main program; return the names of the objects."""
    sources = [*sorted(f"obj/{path.name}" for path in (folder / "obj").glob("*.cpp")), main]
    if "-O0" in options:
        sources = _together(folder, sources)

    def one(number: int, source: str) -> str:
        less = ["-O1"] if ("__Slow" in source or "__Syms" in source) and "-O2" in options else []
        return _object(folder, [*compiler.argv, *options, *less, "-I.", "-Iobj"], root, source, f"{number}.o")

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, count(), sources))


def _together(folder: Path, sources: Sequence[str]) -> list[str]:
    """Fewer sources, which include others: without optimization, a compiler spends most of its time on headers."""
    groups, room = list[list[str]](), 0
    for source in sources:
        size = (folder / source).stat().st_size
        if size > room:
            groups.append([])
            room = TOGETHER
        groups[-1].append(source)
        room -= size
    for number, group in enumerate(groups):
        (folder / f"together{number}.cpp").write_text("".join(f'#include "{source}"\n' for source in group))
    return [f"together{number}.cpp" for number in range(len(groups))]


def _library(compiler: toolchain.Tool, effort: str, root: Path) -> list[Path]:
    """Verilator's library as objects, compiled once, in a folder of its own: nothing of a design gets there."""
    sources = [root / "include" / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    key = hashlib.sha256(json.dumps([runner_build.describe(compiler), effort, str(root)]).encode())
    for source in sources:
        key.update(hashlib.sha256(source.read_bytes()).digest())
    place = resources.cache("simulators") / f"library-{key.hexdigest()[:16]}"
    objects = [place / f"{source.stem}.o" for source in sources]
    if not all(path.is_file() for path in objects):
        with temporary.folder(resources.created(place)) as scratch:
            for source, path in zip(sources, objects, strict=True):
                _object(scratch, [*compiler.argv, effort], root, str(source), path.name)
                os.replace(scratch / path.name, path)
    return objects


def _object(folder: Path, command: Sequence[str], root: Path, source: str, result: str) -> str:
    places = [f"-I{root}/include", f"-I{root}/include/vltstd"]
    _run([*command, "-std=gnu++17", "-w", *places, "-c", source, "-o", result], folder)
    return result


def _root(tool: toolchain.Tool) -> Path:
    """Verilator's own folder."""
    done = subprocess.run(
        [*tool.argv, "--getenv", "VERILATOR_ROOT"],
        cwd=NEUTRAL,
        env=clean(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not done.stdout.strip():
        raise ToolMissing(f"Verilator does not work: {done.stderr.strip()[:200]}", "install it again")
    return Path(done.stdout.strip())


def _run(command: Sequence[str], folder: Path) -> None:
    environment = {"PATH": clean()["PATH"], "TMPDIR": str(folder), "HOME": str(folder), "LC_ALL": "C"}
    done = sandbox.run_program(command, folder=folder, limits=_LIMITS, env=environment)
    if done.returncode != 0:
        first = next((line for line in done.stdout.splitlines() if "rror" in line), "no message")
        raise EdgekitError(f"the simulator does not compile: {first[:200]}", "please report this")
