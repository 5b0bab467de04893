"""The C++ of a bundle's hls4ml project, of a stranger: read with bounds, compiled in the sandbox."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from edgekit import resources, sandbox
from edgekit.backends import runner_build
from edgekit.backends.divided.document import AGAIN
from edgekit.backends.hls4ml.document import PROJECT, TOP
from edgekit.errors import DeviceError
from edgekit.files import plain_files, temporary
from edgekit.progress import Progress
from edgekit.runners.csim.weights import check
from edgekit.sandbox.environment import clean
from edgekit.tools import toolchain

SOURCES, WEIGHTS, MAIN = "firmware", "weights", "simulate.cpp"
MOST_FILES, MOST_BYTES = 1000, 128 << 20
FLAGS = ("-std=c++17", "-O1", "-w", "-I.", f"-I{SOURCES}/ap_types", f'-DWEIGHTS_DIR="{WEIGHTS}"')
_NAME = re.compile(r"firmware/([A-Za-z0-9_]+/)*[A-Za-z0-9_]+\.(h|cpp|txt)")
_LIMITS = sandbox.Limits(seconds=900, memory_mb=8192, file_mb=256)
_lock = Lock()


@dataclass(frozen=True)
class Project:
    """Sources by their paths in the project, and the text files of weights by their names."""

    sources: Mapping[str, bytes]
    weights: Mapping[str, bytes]


def read(artifact: Path) -> Project:
    """Read the C++ of a bundle's project.

    :raises DeviceError: if there are other files, or too many, or if the weights that a simulation reads are not those
        that are synthesized.
    """
    try:
        folder = artifact / PROJECT
        names = [name for name in plain_files.names(folder) if PurePosixPath(name).parts[0] == SOURCES]
        names = [name for name in names if _NAME.fullmatch(name)]
        content = _content(folder, names)
    except (OSError, plain_files.NotPlain) as error:
        raise DeviceError(f"the bundle has no usable artifact/{PROJECT}: {error}", AGAIN) from error
    place = f"{SOURCES}/{WEIGHTS}/"
    weights = {name.removeprefix(place): data for name, data in content.items() if name.endswith(".txt")}
    sources = {name: data for name, data in content.items() if not name.endswith(".txt")}
    if f"{SOURCES}/{TOP}.cpp" not in sources:
        raise DeviceError(f"the bundle has no artifact/{PROJECT}/{SOURCES}/{TOP}.cpp", AGAIN)
    check(sources, weights, place)
    return Project(sources, weights)


def _content(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    if len(names) > MOST_FILES:
        raise plain_files.NotPlain(f"there are over {MOST_FILES} files")
    content, left = dict[str, bytes](), MOST_BYTES
    for name in names:
        with plain_files.opened(folder, name) as file:
            content[name] = file.read(left + 1)
        left -= len(content[name])
        if left < 0:
            raise plain_files.NotPlain(f"it has over {MOST_BYTES >> 20} MiB")
    return content


def compiled(project: Project, sizes: Sequence[int], progress: Progress) -> Path:
    """Return the program that runs a project, from edgekit's cache where it was compiled before.

    :param sizes: numbers of each input.
    :raises ToolMissing: if there is no C++ compiler. :raises DeviceError: if the project does not compile.
    """
    compiler = toolchain.load("host-cxx").find()
    main = (resources.folder("firmware_stubs") / "hls" / MAIN).read_bytes()
    options = [*FLAGS, f"-DINPUTS={len(sizes)}", f"-DSIZES={','.join(map(str, sizes))}"]
    key = hashlib.sha256(json.dumps([runner_build.describe(compiler), options]).encode())
    content = {**project.sources, MAIN: main}
    for name, data in sorted(content.items()):
        key.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
    program = resources.cache("simulators") / f"hls-{key.hexdigest()[:16]}" / "simulate"
    with _lock:
        if program.is_file():
            return program
        progress.step("compile the network's C++: half a minute, once")
        with temporary.folder(resources.created(program.parent)) as scratch:
            for name, data in content.items():
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                (scratch / name).write_bytes(data)
            environment = {"PATH": clean()["PATH"], "TMPDIR": str(scratch), "HOME": str(scratch), "LC_ALL": "C"}
            command = [*compiler.argv, *options, MAIN, "-o", program.name]
            done = sandbox.run_program(command, folder=scratch, limits=_LIMITS, env=environment)
            if done.returncode != 0:
                first = next((line for line in done.stdout.splitlines() if "rror" in line), "no message")
                raise DeviceError(f"the bundle's C++ does not compile: {first[:200]}", AGAIN)
            (scratch / program.name).chmod(0o755)
            os.replace(scratch / program.name, program)
    return program
