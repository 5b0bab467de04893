"""Attempts at what the sandbox refuses: run inside a child process, it reports which of them succeeded.

``python probe.py FOLDER VICTIM-FILE VICTIM-PID`` prints the report as JSON; :func:`task` is the same for
:func:`edgekit.sandbox.call`. An attempt succeeds if the kernel did what was asked. Nothing here is harmful where the
lock does not hold: it works on a file, a folder and a process made for it, else with arguments that change nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import stat
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
Attempt = Callable[[str, int], object]


def _raw(x86: int, arm: int, *arguments: object) -> None:
    """A system call by its number; raises what it returns as an error."""
    number = x86 if platform.machine() == "x86_64" else arm
    if number < 0:
        raise OSError(38, "not on this machine")
    if _libc.syscall(number, *arguments) == -1:
        code = ctypes.get_errno()
        if code not in (1, 3, 13, 38):  # EPERM, ESRCH, EACCES, ENOSYS: refused; anything else was looked at
            return
        raise OSError(code, os.strerror(code))


def _open(flags: int) -> Attempt:
    return lambda path, _: os.close(os.open(path, flags, 0o600))


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), "made-by-the-probe")


def _reads(path: str) -> Attempt:
    return lambda *_: Path(path).open("rb").close()


def _fork(*_: object) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _fchmod() -> None:
    """The call says that it succeeded; whether it did, the file tells."""
    descriptor = os.open("own-file", os.O_CREAT | os.O_RDWR, 0o600)
    os.fchmod(descriptor, 0o777)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o777:
        raise PermissionError


def _ioctl(command: int) -> Attempt:
    def attempt(*_: object) -> None:
        if _libc.ioctl(0, command, ctypes.c_char_p(b"x\0\0\0\0\0\0\0")) != 0 and ctypes.get_errno() == 1:
            raise PermissionError

    return attempt


def _prctl(option: int, *arguments: int) -> Attempt:
    def attempt(*_: object) -> None:
        if _libc.prctl(option, *arguments, *(0,) * (4 - len(arguments))) != 0:
            raise OSError(ctypes.get_errno(), "refused")

    return attempt


def _socket(family: int, kind: int) -> Attempt:
    return lambda *_: _raw(41, 198, family, kind, 0)


def _limit(_: str, pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_CORE, resource.prlimit(pid, resource.RLIMIT_CORE))


FILES: dict[str, Attempt] = {
    "read a file of the user's": _open(os.O_RDONLY),
    "write to a file of the user's": _open(os.O_WRONLY),
    "append to a file of the user's": _open(os.O_WRONLY | os.O_APPEND),
    "empty a file by opening it": _open(os.O_WRONLY | os.O_TRUNC),
    "empty a file by truncate": lambda path, _: os.truncate(path, 0),
    "list a folder of the user's": lambda path, _: os.listdir(os.path.dirname(path)),
    "list the root folder": lambda *_: os.listdir("/"),
    "read the passwords of the system": lambda *_: Path("/etc/shadow").read_bytes(),
    "list the user's home": lambda *_: os.listdir(os.path.expanduser("~")),
    "make a file beside it": lambda path, _: Path(_beside(path)).write_text(""),
    "make a folder beside it": lambda path, _: os.mkdir(_beside(path)),
    "make a link beside it": lambda path, _: os.symlink("/", _beside(path)),
    "link it into the scratch folder": lambda path, _: os.link(path, "linked"),
    "rename it": lambda path, _: os.rename(path, _beside(path)),
    "move it into the scratch folder": lambda path, _: os.rename(path, "moved"),
    "delete it": lambda path, _: os.unlink(path),
    "delete a folder": lambda path, _: os.rmdir(os.path.dirname(path) + "/empty"),
    "make a device node": lambda *_: os.mknod("node", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
    "make a block device": lambda *_: os.mknod("node", stat.S_IFBLK | 0o600, os.makedev(7, 0)),
    "make a FIFO": lambda *_: os.mkfifo("fifo"),
    "change its mode": lambda path, _: os.chmod(path, 0o777),
    "change the scratch folder's mode": lambda *_: os.chmod(".", 0o777),
    "change its mode by fchmodat2": lambda path, _: _raw(452, 452, _AT_FDCWD, path.encode(), 0o777, 0),
    "change the mode of an open file": lambda *_: _fchmod(),
    "change its owner": lambda path, _: os.chown(path, os.getuid(), os.getgid()),
    "change its owner by lchown": lambda path, _: os.lchown(path, os.getuid(), os.getgid()),
    "change its times": lambda path, _: os.utime(path, (1, 1)),
    "set an extended attribute": lambda path, _: os.setxattr(path, "user.edgekit", b"x"),
    "remove an extended attribute": lambda path, _: os.removexattr(path, "user.kept"),
    "use another root folder": lambda *_: os.chroot("."),
    "mount a file system": lambda *_: _raw(165, 40, b"none", b".", b"tmpfs", 0, 0),
    "open by handle": lambda *_: _raw(304, 265, _AT_FDCWD, 0, 0),
    "watch files (fanotify)": lambda *_: _raw(300, 262, 0, 0),
    "write to shared memory of the system": lambda *_: Path("/dev/shm/edgekit-probe").write_text(""),
    "read the terminal": _reads("/dev/tty"),
    "read the kernel's messages": _reads("/dev/kmsg"),
    "read the kernel's symbols": _reads("/proc/kallsyms"),
    "write a setting of the kernel": lambda *_: os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
}
PROCESSES: dict[str, Attempt] = {
    "ask whether a process is there": lambda _, pid: os.kill(pid, 0),
    "kill a process": lambda _, pid: os.kill(pid, signal.SIGUSR1),
    "signal a thread (tgkill)": lambda _, pid: _raw(234, 131, pid, pid, 0),
    "signal a thread (tkill)": lambda _, pid: _raw(200, 130, pid, 0),
    "queue a signal": lambda _, pid: _raw(129, 138, pid, 0, ctypes.create_string_buffer(128)),
    "kill all processes of the user": lambda *_: os.kill(-1, 0),
    "open a process": lambda _, pid: signal.pidfd_send_signal(os.pidfd_open(pid), 0),
    "trace a process": lambda _, pid: _raw(101, 117, 0x4206, pid, 0, 0),
    "read a process's memory": lambda _, pid: _raw(310, 270, pid, 0, 0, 0, 0, 0),
    "write a process's memory": lambda _, pid: _raw(311, 271, pid, 0, 0, 0, 0, 0),
    "read a process's environment": lambda _, pid: Path(f"/proc/{pid}/environ").read_bytes(),
    "read a process's command line": lambda _, pid: Path(f"/proc/{pid}/cmdline").read_bytes(),
    "list a process's files": lambda _, pid: os.listdir(f"/proc/{pid}/fd"),
    "change a process's limits": _limit,
    "change a process's processors": lambda _, pid: os.sched_setaffinity(pid, os.sched_getaffinity(0)),
    "change a process's priority": lambda _, pid: os.setpriority(os.PRIO_PROCESS, pid, 0),
    "change a process's scheduling": lambda _, pid: os.sched_setscheduler(pid, 0, os.sched_param(0)),
    "change a process's input priority": lambda _, pid: _raw(251, 30, 1, pid, 0),
    "compare processes": lambda _, pid: _raw(312, 272, pid, pid, 0, 0, 0),
    "take a process's file": lambda *_: _raw(438, 438, 0, 0, 0),
    "move a process's pages": lambda _, pid: _raw(279, 239, pid, 0, 0, 0, 0, 0),
    "outlive the parent": _prctl(1, 0),
    "adopt orphans": _prctl(36, 1),
    "let others trace": _prctl(0x59616D61, -1),
    "keep capabilities": _prctl(8, 1),
    "signal by a file's owner": lambda *_: _raw(72, 25, 0, 8, os.getppid()),
}
KERNEL: dict[str, Attempt] = {
    "open a connection (IPv4)": _socket(2, 1),
    "open a connection (IPv6)": _socket(10, 1),
    "send a datagram": _socket(2, 2),
    "talk to local services": _socket(1, 1),
    "talk to the kernel (netlink)": _socket(16, 3),
    "see packets": _socket(17, 3),
    "push characters into the terminal": _ioctl(0x5412),
    "paste into a console": _ioctl(0x541C),
    "take a terminal": _ioctl(0x540E),
    "io_uring": lambda *_: _raw(425, 425, 0, 0),
    "bpf": lambda *_: _raw(321, 280, 0, 0, 0),
    "performance counters": lambda *_: _raw(298, 241, 0, 0, -1, -1, 0),
    "userfaultfd": lambda *_: _raw(323, 282, 0),
    "a user namespace": lambda *_: _raw(272, 97, 0x10000000),
    "a network namespace": lambda *_: _raw(272, 97, 0x40000000),
    "enter a namespace": lambda *_: _raw(308, 268, 0, 0),
    "clone3": lambda *_: _raw(435, 435, 0, 0),
    "the keys of the kernel": lambda *_: _raw(250, 219, 0, 0, 0),
    "memory without a name (memfd)": lambda *_: _raw(319, 279, b"x", 0),
    "shared memory (System V)": lambda *_: _raw(29, 194, 0, 4096, 0o1600),
    "semaphores (System V)": lambda *_: _raw(64, 190, 0, 1, 0o1600),
    "message queues": lambda *_: _raw(68, 186, 0, 0o1600),
    "another user": lambda *_: _raw(105, 146, os.getuid()),
    "another group": lambda *_: _raw(106, 144, os.getgid()),
    "other groups": lambda *_: _raw(116, 159, 0, 0),
    "capabilities": lambda *_: _raw(126, 91, 0, 0),
    "the clock": lambda *_: _raw(227, 112, 99, 0),
    "the machine's name": lambda *_: _raw(170, 161, b"", -1),
    "load a module": lambda *_: _raw(175, 105, 0, 0, b""),
    "restart": lambda *_: _raw(169, 142, 0, 0, 0, 0),
    "swap": lambda *_: _raw(167, 224, b"", 0),
    "the x32 calls": lambda *_: _raw(0x40000000 + 39, -1),
    "more than the limit of memory": lambda *_: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1)),
    "larger files": lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1)),
}
TASKS_ONLY: dict[str, Attempt] = {
    "start a process": _fork,
    "start a program": lambda *_: os.execv("/bin/true", ["true"]),
    "start a program (execveat)": lambda *_: _raw(322, 281, _AT_FDCWD, b"/nothing", 0, 0, 0),
}
"""A child that is itself a program may do these: what it starts is as locked as it is, and ends with it."""
GROUPS = {
    "The user's files": FILES, "Other processes": PROCESSES, "Network, terminal and kernel": KERNEL,
    "New processes (not in children that are programs)": TASKS_ONLY,
}  # fmt: skip
FEW = (
    "read a file of the user's", "write to a file of the user's", "make a file beside it", "change its mode",
    "ask whether a process is there", "trace a process", "read a process's environment", "open a connection (IPv4)",
    "talk to local services", "io_uring", "a user namespace", "start a process",
)  # fmt: skip
"""What ``edgekit doctor`` tries: some of each kind, none of which the kernel refuses to everybody."""


def report(path: str, pid: int, *, program: bool, only: Collection[str] | None = None) -> dict[str, bool]:
    """Try everything; which attempts succeeded, by their names.

    :param path: a file of the user's outside the sandbox, in a folder of its own. :param pid: a process outside.
    :param program: leave out what programs may do. :param only: leave out all but these.
    """
    found = {}
    for attempts in GROUPS.values():
        for name, attempt in attempts.items() if not (program and attempts is TASKS_ONLY) else ():
            if only is not None and name not in only:
                continue
            try:
                attempt(path, pid)
                found[name] = True
            except (OSError, ValueError):
                found[name] = False
    return found


def task(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attempts, for a task."""
    os.chdir(work)
    return report(args["path"], args["pid"], program=False), {}


def few(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: what of the lock is not in force, and how the :data:`FEW` attempts went."""
    from edgekit.sandbox import lockdown

    os.chdir(work)
    missing = lockdown.not_in_force()
    return {"missing": missing, "tried": report(args["path"], args["pid"], program=False, only=FEW)}, {}


def table() -> str:
    """Return the attempts as the table of ``docs/security.md``."""
    lines = ["| kind | refused |", "|---|---|"]
    return "\n".join([*lines, *(f"| {kind} | {'; '.join(attempts)} |" for kind, attempts in GROUPS.items())])


if __name__ == "__main__":
    print(json.dumps(report(sys.argv[1], int(sys.argv[2]), program=True)))
