"""Lock the calling process down: no network, its own files only, no other process, bounded memory and time.

Works without privileges, on Linux: resource limits, seccomp (an allow-list of system calls), Landlock (which files)
and the loss of all capabilities. :func:`lock` reads back that all of it is in force, and fails if it is not.
Imports nothing but the standard library, so that a child can lock itself before it imports anything else.

Sources: Linux's ``Documentation/userspace-api/{seccomp_filter,landlock}.rst``, ``prctl(2)``, ``capabilities(7)``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Sequence

from . import landlock, namespaces, seccomp

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_AMBIENT_CLEAR_ALL = 4
_PTRACE_DETACH = 17
_CAPABILITY_VERSION = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)


class Unlocked(Exception):
    """A part of the lock could not be set; the message says which."""


def available() -> dict[str, bool]:
    """Return which of the protections this machine has."""
    return {"seccomp": seccomp.available(), "landlock": landlock.version() > 0}


def lock(
    writable: Sequence[str],
    readable: Sequence[str] = (),
    *,
    seconds: float,
    memory_mb: int,
    file_mb: int,
    network: bool = False,
    modes: bool = False,
    loopback: bool = False,
    allow_exec: bool = False,
    own_pids: bool = False,
    required: bool = True,
) -> None:
    """Lock this process, for good.

    :param writable: folders (and device files) that stay writable.
    :param readable: folders and files that stay readable, beside those and ``landlock.SYSTEM``.
    :param seconds: processor time, across threads; the caller watches the wall clock.
    :param memory_mb: private writable memory (RLIMIT_DATA), MiB.
    :param file_mb: size of one written file, MiB.
    :param network: leave sockets and the ioctls of devices usable.
    :param modes: leave ``fchmod`` usable, for the plainest modes.
    :param loopback: leave the Internet's sockets usable, in a network that has the loopback interface only.
    :param allow_exec: leave ``execve`` and ``fork`` usable, for a launcher that goes on to run a program.
    :param own_pids: this process is in a PID namespace of the sandbox's own.
    :param required: whether what the kernel lacks is an error; if not, the rest holds.
    :raises Unlocked: if a part of the lock could not be set or is not in force.
    """
    cpu = max(1, int(seconds * (os.cpu_count() or 1)) + 1)
    _limit(resource.RLIMIT_CPU, cpu)
    _limit(resource.RLIMIT_DATA, memory_mb << 20)
    _limit(resource.RLIMIT_FSIZE, file_mb << 20)
    _limit(resource.RLIMIT_CORE, 0)
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    _drop_capabilities()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.open("/proc/self", os.O_PATH)  # kept open, so that the rule for it lasts
    files = landlock.restrict(
        [*landlock.SYSTEM, *readable], [*writable, "/dev/null"], network=network, loopback=loopback
    )
    inside = own_pids or (files and landlock.version() >= landlock.SIGNALS)
    calls = seccomp.install(
        seccomp.rules(
            programs=allow_exec, signals=inside, network=network, pid=os.getpid(), modes=modes, loopback=loopback
        )
    )
    alone = not loopback or namespaces.interfaces() == ["lo"]
    parts = ("Landlock", files), ("seccomp", calls), ("a network of its own", alone)
    wrong = [name for name, there in parts if not there] + not_in_force(files)
    if wrong and required:
        raise Unlocked(", ".join(wrong))


def not_in_force(files: bool = True) -> list[str]:
    """Test the sandbox from inside; return what does not hold.

    :param files: try Landlock too.
    """
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    wrong = []
    if status.get("NoNewPrivs", "1") != "1":
        wrong.append("no_new_privs")
    if status.get("Seccomp") != "2":
        wrong.append("seccomp's filter")
    if any(int(status.get(name, "0"), 16) for name in ("CapPrm", "CapEff", "CapAmb")):
        wrong.append("capabilities")
    for path, flags in (("/", os.O_RDONLY | os.O_DIRECTORY), ("/dev/full", os.O_WRONLY)) if files else ():
        try:
            os.close(os.open(path, flags))
            wrong.append(f"Landlock for {path}")
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.ENOENT):
                wrong.append(f"Landlock for {path}")
    if _libc.ptrace(_PTRACE_DETACH, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM:  # there is no process 0
        wrong.append("seccomp for ptrace")
    return wrong


def _drop_capabilities() -> None:
    """All sets. Where the bounding set may not be touched, ``no_new_privs`` keeps programs from getting any back."""
    for number in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and ctypes.get_errno() == errno.EINVAL:
            break
    _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    _libc.capset(header, bytes(24))


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))
