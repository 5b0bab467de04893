"""Linux namespaces for child processes: a network that has the loopback interface and nothing else.

Imports nothing but the standard library. Call these functions while the process has one thread: a process with more
cannot change its user namespace.

Sources: ``namespaces(7)``, ``user_namespaces(7)``, ``network_namespaces(7)``, ``netdevice(7)``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct

NEW_USER, NEW_PID, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_SET_FLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40
_libc = ctypes.CDLL(None)


def unshare(kinds: int) -> bool:
    """Leave the namespaces of these kinds for new ones; without privileges, in a user namespace too.

    Returns False if the kernel allows neither.
    """
    if _libc.unshare(kinds) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(NEW_USER | kinds) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return True


def loopback() -> bool:
    """Move this process into a new network with the loopback interface only; False if the kernel does not allow it."""
    import socket  # slow to import, and seldom needed

    if not unshare(NEW_NETWORK):
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH22x", b"lo", _UP | _RUNNING))
    except OSError:
        return False
    return interfaces() == ["lo"]


def enter(pid: int) -> bool:
    """Move this process into the network of another process, and into its user namespace; False if that fails.

    A network that has more than the loopback interface counts as a failure.
    """
    try:
        for name, kind in (("user", NEW_USER), ("net", NEW_NETWORK)):
            there = f"/proc/{pid}/ns/{name}"
            if os.path.samefile(there, f"/proc/self/ns/{name}"):
                continue
            descriptor = os.open(there, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(descriptor, kind) != 0:
                    return False
            finally:
                os.close(descriptor)
    except OSError:
        return False
    return interfaces() == ["lo"]


def interfaces() -> list[str]:
    """The names of this process's network interfaces."""
    with open("/proc/self/net/dev") as file:
        return [line.partition(":")[0].strip() for line in file.readlines()[2:]]
