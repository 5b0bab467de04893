"""Runs a bundle's AArch64 runner under qemu-user, locked down, and always in the same circumstances.

Instruction counts must not depend on where the bundle lies, on the user's environment or on chance. So the guest
sees everything below fixed paths of its own root, gets a fixed environment and a fixed seed, and its addresses are
not randomised.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgekit import sandbox
from edgekit.bundle.execution import MODEL, PROGRAM
from edgekit.errors import DeviceError, EdgekitError, ModelError, ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import plugin, sysroot
from edgekit.runners.linux.process import crash_hint
from edgekit.runners.linux.program import Program
from edgekit.target import Target

ANOTHER = "compile it again, with a backend for Linux"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_MODEL_REFUSED = 3


@dataclass(frozen=True)
class Machine:
    """What it takes to emulate a target: the emulator, its name of the core, its plugin, the root folder."""

    emulator: str
    cpu: str
    plugin: Path
    root: Path
    target: Target

    def plugin_argument(self, report: Path, *, caches: bool) -> str:
        """The value of ``-plugin``."""
        cache = self.target.cache
        named = (("l1", cache.l1d), ("l2", cache.l2), ("l3", cache.l3)) if caches else ()
        levels = [f"{name}={level.kib}:{level.ways}" for name, level in named if level is not None]
        return ",".join([str(self.plugin), f"out={report}", *levels])


@dataclass(frozen=True)
class Job:
    """What runs, and on what. ``files``: the program's files by their names."""

    program: Program
    files: dict[str, Path]
    machine: Machine


def machine(target: Target) -> Machine:
    """Get everything ready for a target that can be emulated, from the cache after the first time.

    :raises ToolMissing: if the emulator, the AArch64 libraries or a C compiler is not installed.
    """
    assert target.emulator is not None, target.name
    return Machine(tracing.emulator("qemu-aarch64"), target.emulator.cpu, plugin.get(), sysroot.get(target), target)


def run(
    job: Job,
    inputs: bytes,
    arguments: Sequence[str],
    folder: Path,
    *,
    caches: bool,
    limits: sandbox.Limits,
    also: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """Run ``edgekit-run`` and return the folder with what it wrote; the plugin's report is ``report`` in it.

    :param folder: an empty scratch folder. :param also: further files that it reads, by their names.
    :raises ModelError: if LiteRT refuses the model; :raises DeviceError: if the guest fails in any other way.
    """
    done, work = ended(job, inputs, arguments, folder, caches=caches, limits=limits, also=also)
    if done.returncode != 0:
        raise _failure(done, job.program)
    return work


def ended(
    job: Job,
    inputs: bytes,
    arguments: Sequence[str],
    folder: Path,
    *,
    caches: bool,
    limits: sandbox.Limits,
    also: Mapping[str, bytes] = MappingProxyType({}),
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The same, however ``edgekit-run`` ended; parameters as for :func:`run`.

    :raises DeviceError: if it did not end.
    """
    machine = job.machine
    work = _make_root(machine.root, job.files, folder)
    for name, data in {"in.bin": inputs, **also}.items():
        (work / name).write_bytes(data)
    command = [
        machine.emulator, "-cpu", machine.cpu, "-L", str(folder / "root"), "-seed", "1",
        "-plugin", machine.plugin_argument(work / "report", caches=caches), f"./{PROGRAM}",
        *job.program.arguments(f"/edgekit/{job.program.library}", f"/edgekit/{MODEL}"), "--inputs", "/edgekit/in.bin",
        "--trace", "trace.json", *arguments,
    ]  # fmt: skip
    if setarch := shutil.which("setarch"):
        command = [setarch, "-R", *command]
    needed = [machine.root, *machine.root.iterdir(), *job.files.values()]
    try:
        done = sandbox.run_program(command, folder=work, limits=limits, env=_ENVIRONMENT, readable=[folder, *needed])
    except sandbox.ChildDied as error:
        raise DeviceError(f"the emulated run {error.reason}", "use fewer samples, or a smaller model") from error
    return done, work


def _make_root(root: Path, files: dict[str, Path], folder: Path) -> Path:
    """Put the shared root's folders and this run's files below ``folder/root``."""
    own = folder / "root"
    work = own / "edgekit"
    work.mkdir(parents=True)
    for part in root.iterdir():
        (own / part.name).symlink_to(part)
    for name, path in files.items():
        if not path.is_file():
            raise DeviceError(f"the bundle has no {path.name} for the emulator", ANOTHER)
        (work / name).symlink_to(path.resolve())
    return work


def _failure(done: subprocess.CompletedProcess[str], program: Program) -> EdgekitError:
    """Say in one line why the guest failed."""
    if "Could not load plugin" in done.stdout:  # since QEMU 9 plugins need another version of the interface
        why = done.stdout.strip().splitlines()[-1].rpartition(": ")[2]
        return ToolMissing(
            f"this qemu-aarch64 cannot load edgekit's plugin: {why}", "install Debian 12's qemu-user (QEMU 7.2)"
        )
    said = re.findall(r"^edgekit-run: (.+)$", done.stdout, re.MULTILINE)
    if done.returncode == _MODEL_REFUSED and said:
        return ModelError(f"LiteRT refuses the model: {said[-1]}", "this machine's own LiteRT may take it: --on host")
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if 0 < number < signal.NSIG:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = crash_hint(program, number) if program.compiled else "LiteRT may not survive this model; try --on host"
        return DeviceError(f"the emulated run crashed ({name})", hint)
    last = said[-1] if said else next(iter(done.stdout.strip().splitlines()[-1:]), "it said nothing")
    return DeviceError(f"the emulated run failed (status {done.returncode}): {last}", "try --on host, or report this")
