"""Compiles C that was generated from a network; the same C is compiled once, and found again in a cache.

A result is found by the compiler (name, version, the program's size and time), the commands, and the content of every
file that was put before the compiler. The compiler's own headers and libraries that it read besides are kept with the
result by size and time: if one of them changes, the result is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgekit import resources, sandbox
from edgekit.backends import runner_build
from edgekit.files import left_behind
from edgekit.files.store import Store
from edgekit.tools.toolchain import Tool

MOST_BYTES = 512 << 20
"""Of the whole cache."""
_VERSION = 1
_HEAD = struct.Struct("<I")
_ABSOLUTE = re.compile(r"(?:^|[\s(])(/[^\s()\\]+)")
_TRACE = "-Wl,--trace"


@dataclass(frozen=True)
class Compilation:
    """Calls of a compiler in a folder of their own.

    :param commands: arguments of each call, whose file names are relative.
    :param inputs: contents by file name, which may have folders.
    :param outputs: names of the files that are wanted.
    :param failure: what does not compile, in words.
    """

    commands: Sequence[Sequence[str]]
    inputs: Mapping[str, bytes]
    outputs: Sequence[str]
    failure: str
    limits: sandbox.Limits = sandbox.Limits()
    hint: str = "please report this, with your compiler's version"


def sources(*folders: str, suffixes: Iterable[str] = (".h",)) -> dict[str, bytes]:
    """Return the files of folders below ``firmware_stubs``, by names that begin with those folders."""
    stubs, wanted = resources.folder("firmware_stubs"), tuple(suffixes)
    files = [path for folder in folders for path in sorted((stubs / folder).iterdir()) if path.suffix in wanted]
    return {str(path.relative_to(stubs)): path.read_bytes() for path in files}


def compiled(tool: Tool, job: Compilation) -> dict[str, bytes]:
    """Return the files that a compilation makes.

    :raises EdgekitError: with the compiler's first error.
    """
    store = _store(resources.cache("compiled"))
    key = _key(tool, job)
    if (entry := store.get(key)) is not None and (found := _unpacked(entry, job.outputs)) is not None:
        return found
    with sandbox.scratch() as folder:
        for name, content in job.inputs.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        said = []
        for arguments in job.commands:
            # What zig links besides is in its package, whose version is part of the key.
            kept = ["-MD"] if "-c" in arguments else [] if tool.module else [_TRACE]
            said.append(
                runner_build.run_compiler(
                    [*tool.argv, *arguments, *kept], folder, job.failure, limits=job.limits, hint=job.hint
                )
            )
        most = job.limits.file_mb << 20
        read = {name: left_behind.read(folder, name, most) for name in job.outputs}
        said += [left_behind.read(folder, path.name, most).decode(errors="replace") for path in folder.glob("*.d")]
        outside = {name for text in said for name in _ABSOLUTE.findall(text) if not name.startswith(f"{folder}/")}
    store.put(key, _packed(read, outside))
    return read


@lru_cache(maxsize=4)
def _store(folder: Path) -> Store:
    return Store(folder, MOST_BYTES)


def _key(tool: Tool, job: Compilation) -> str:
    inputs = {name: hashlib.sha256(content).hexdigest() for name, content in job.inputs.items()}
    parts = [_VERSION, tool.argv, _compiler(tool), [list(one) for one in job.commands], inputs, list(job.outputs)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _compiler(tool: Tool) -> tuple[object, ...]:
    program = shutil.which(tool.argv[0]) or tool.argv[0]
    return (*_state(program), _described(tool, program, _state(program)))


@lru_cache(maxsize=16)
def _described(tool: Tool, program: str, state: tuple[object, ...]) -> str:
    return runner_build.describe(tool)


def _state(path: str) -> tuple[object, ...]:
    """What tells one version of a file from another; empty if it is not there."""
    try:
        about = os.stat(path)
    except OSError:
        return ()
    return os.path.realpath(path), about.st_size, about.st_mtime_ns


def _packed(files: Mapping[str, bytes], outside: Iterable[str]) -> bytes:
    known = {name: _state(name) for name in sorted(outside) if os.path.isfile(name)}
    head = json.dumps([known, [[name, len(content)] for name, content in files.items()]]).encode()
    return b"".join([_HEAD.pack(len(head)), head, *files.values()])


def _unpacked(entry: bytes, names: Sequence[str]) -> dict[str, bytes] | None:
    """Return an entry's files; None if a file of the compiler's is not what it was."""
    at = _HEAD.size + _HEAD.unpack_from(entry)[0]
    known, sizes = json.loads(entry[_HEAD.size : at])
    if any(list(_state(name)) != state for name, state in known.items()):
        return None
    found = {}
    for name, size in sizes:
        found[name] = entry[at : at + size]
        at += size
    return found if list(found) == list(names) else None
