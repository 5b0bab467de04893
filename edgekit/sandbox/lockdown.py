"""Lock the calling process down: no network, no writes outside one folder, bounded memory and time.

Works without privileges, on Linux: resource limits, seccomp (a filter on system calls) and Landlock (a filter
on file writes). Where the kernel lacks one of them the others still hold; ``available()`` says which.
Imports nothing but the standard library, so that a child can lock itself before it imports anything else.

Sources: Linux's ``Documentation/userspace-api/{seccomp_filter,landlock}.rst``, ``seccomp(2)``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Sequence

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_RET_ALLOW, _RET_EPERM, _RET_KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SYSCALLS = {  # name: (x86_64, aarch64)
    "socket": (41, 198),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "execve": (59, 221),
    "execveat": (322, 281),
}
_EXEC = ("execve", "execveat")
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_RIGHTS_V1 = 0b1_1111_1111_0010  # write, remove and make rights of Landlock ABI 1 (bits 1, 4-12)
_libc = ctypes.CDLL(None, use_errno=True)


def available() -> dict[str, bool]:
    """Say which of the protections this machine has."""
    return {
        "seccomp": platform.machine() in _AUDIT_ARCH and os.path.exists("/proc/sys/kernel/seccomp"),
        "landlock": _landlock_abi() > 0,
    }


def lock(
    writable: Sequence[str],
    *,
    seconds: float,
    memory_mb: int,
    file_mb: int,
    network: bool = False,
    allow_exec: bool = False,
) -> None:
    """Lock this process, for good.

    :param writable: folders (and device files) that stay writable.
    :param seconds: processor time, across threads; the caller watches the wall clock.
    :param memory_mb: private writable memory (RLIMIT_DATA), MiB.
    :param file_mb: size of one written file, MiB.
    :param network: leave ``socket`` usable.
    :param allow_exec: leave ``execve`` usable, for a launcher that goes on to run a program.
    """
    cpu = max(1, int(seconds * (os.cpu_count() or 1)) + 1)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_DATA, memory_mb << 20)
    _limit(resource.RLIMIT_FSIZE, file_mb << 20)
    _limit(resource.RLIMIT_CORE, 0)
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _restrict_writes([*writable, "/dev/null"])
    usable = {*(_EXEC if allow_exec else ()), *(("socket",) if network else ())}
    _filter_syscalls([name for name in _SYSCALLS if name not in usable])


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _landlock_abi() -> int:
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, 0, 1)))


def _restrict_writes(writable: Sequence[str]) -> None:
    abi = _landlock_abi()
    if abi == 0:
        return
    rights = _WRITE_RIGHTS_V1 | (1 << 13 if abi >= 2 else 0) | (1 << 14 if abi >= 3 else 0)
    attr = struct.pack("<Q", rights)
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attr, len(attr), 0)
    if ruleset < 0:
        return
    for path in writable:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        file_rights = rights if os.path.isdir(path) else rights & (1 << 1 | 1 << 14)
        _libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("<Qi", file_rights, fd), 0)
        os.close(fd)
    _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _filter_syscalls(denied: Sequence[str]) -> None:
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        return
    column = 0 if machine == "x86_64" else 1
    numbers = [_SYSCALLS[name][column] for name in denied]

    def op(code: int, jt: int, jf: int, k: int) -> bytes:
        return struct.pack("<HBBI", code, jt, jf, k)

    load, jeq, jge, ret = 0x20, 0x15, 0x35, 0x06
    program = [op(load, 0, 0, 4), op(jeq, 1, 0, _AUDIT_ARCH[machine]), op(ret, 0, 0, _RET_KILL), op(load, 0, 0, 0)]
    if machine == "x86_64":  # the x32 numbers would go round the list
        program += [op(jge, 0, 1, 0x40000000), op(ret, 0, 0, _RET_EPERM)]
    for number in numbers:
        program += [op(jeq, 0, 1, number), op(ret, 0, 0, _RET_EPERM)]
    program.append(op(ret, 0, 0, _RET_ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    header = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0)
