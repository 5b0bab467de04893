"""Landlock: which files a child process may read, run and write, and that it reaches no other process.

Source: Linux's ``Documentation/userspace-api/landlock.rst``. Rights are those of the kernel's version of Landlock, of
which version 1 (Linux 5.13) has the most important ones; :data:`SIGNALS` is the version that keeps signals inside.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

SIGNALS = 6
"""The version of Landlock that keeps signals inside."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
_V1, _REFER, _TRUNCATE, _IOCTL_DEV = (1 << 13) - 1, 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NEVER = _MAKE_CHAR | _MAKE_SOCK | _MAKE_FIFO | _MAKE_BLOCK
"""What no folder of a child may hold: what reads or opens such a thing later could be held up, or worse."""
_PORTS = 0b11  # bind, connect (TCP)
_SCOPES = 0b11  # abstract sockets, signals

SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix/store", "/gnu/store", "/sys",
    *(f"/etc/{name}" for name in (
        "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "localtime", "timezone", "alternatives", "OpenCL",
        "pocl", "nsswitch.conf", "passwd", "group", "locale.alias", "magic", "mime.types", "gcrypt", "ssl/openssl.cnf",
        "qemu-binfmt", "nv_tegra_release", "os-release", "hosts", "resolv.conf", "host.conf", "gai.conf", "services",
        "protocols",
    )),
    *(f"/proc/{name}" for name in (
        "self", "cpuinfo", "meminfo", "stat", "version", "filesystems", "loadavg", "uptime", "sys/vm", "sys/kernel",
        "devices", "driver",
    )),
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
)  # fmt: skip
"""What every child may read: programs, libraries, the machine's description, and what of ``/proc`` is about itself."""
_libc = ctypes.CDLL(None)


def version() -> int:
    """Return the kernel's version of Landlock; 0 if it has none."""
    return max(0, int(_libc.syscall(_CREATE, None, 0, 1)))


def restrict(readable: Iterable[str], writable: Iterable[str], *, network: bool, loopback: bool = False) -> bool:
    """Allow only these files and folders, for good; False if the kernel does not take the rules.

    Call it after ``no_new_privs`` is set. Paths that are not there are passed over.

    :param network: leave sockets and the ioctls of devices alone. :param loopback: leave ports alone.
    """
    abi = version()
    if abi == 0:
        return False
    handled = _V1 | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    handled |= _IOCTL_DEV if abi >= 5 and not network else 0
    ports = _PORTS if abi >= 4 and not (network or loopback) else 0
    scopes = _SCOPES & (0b11 if not network else 0b10) if abi >= SIGNALS else 0
    attributes = struct.pack("<QQQ", handled, ports, scopes)
    length = 8 if abi < 4 else 16 if abi < SIGNALS else 24
    ruleset = int(_libc.syscall(_CREATE, attributes, length, 0))
    if ruleset < 0:
        return False
    try:
        granted = [(path, _READ) for path in readable] + [(path, handled & ~_NEVER) for path in writable]
        if not all(_grant(ruleset, path, rights & handled) for path, rights in granted):
            return False
        return int(_libc.syscall(_RESTRICT, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> bool:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        return int(_libc.syscall(_ADD, ruleset, 1, struct.pack("<Qi", rights, descriptor), 0)) == 0
    finally:
        os.close(descriptor)
