"""Try the lock with and without one of its rules, each time in a process of its own, and tell what the kernel says.

``python lock_rules_child.py`` reads cases from stdin and prints a list of ``[with the rule, without it]``, as JSON.
An answer is ``"refused"`` (by the rule itself, not by something else in the kernel), ``"let through"``, an error, or
``"signal N"``.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from edgekit.sandbox import landlock, lockdown, seccomp  # noqa: E402
from edgekit.sandbox.syscalls import numbers  # noqa: E402

_MARK = 4000
"""An error number of no meaning: what the filter refuses is told from what the kernel refuses."""
_libc = ctypes.CDLL(None, use_errno=True)
_MACHINE = os.uname().machine
_NUMBERS = numbers(_MACHINE)
seccomp._REFUSE = seccomp._ERRNO | _MARK


def outcome(action: Callable[[], str]) -> str:
    """What an action in a forked process says, or how that ended."""
    end, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(start, action().encode())
        finally:
            os._exit(0)
    os.close(start)
    with os.fdopen(end, "rb") as file:
        said = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def _asked(number: int, arguments: list[int]) -> str:
    me = os.getpid()
    answer = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))
    code = ctypes.get_errno()
    if answer == -1 and code == _MARK:
        return "refused"
    if answer == -1 and code == errno.ENOSYS:
        return "ENOSYS"
    if os.getpid() != me:  # it was fork
        os._exit(0)
    return "let through"


def system_call(case: dict[str, Any]) -> list[str]:
    """A call under the filter, and under one that lets this call through whatever its arguments are."""
    number = _NUMBERS[case["call"]] if isinstance(case["call"], str) else int(case["call"])
    arguments = [{"parent": os.getppid(), "self": -2}.get(value, value) for value in case["arguments"]]

    def under(change: Callable[[], None], without: bool) -> str:
        def action() -> str:
            change()
            rules = seccomp.rules(pid=os.getpid(), **case["kind"])
            if without:
                rules[case["call"]] = ()
            _libc.prctl(38, 1, 0, 0, 0)
            if not seccomp.install(rules):
                return "the filter was not taken"
            return _asked(number, [os.getpid() if value == -2 else value for value in arguments])

        return outcome(action)

    if isinstance(case["call"], str):
        return [under(lambda: None, False), under(lambda: None, True)]
    return [under(lambda: None, False), under(lambda: _without([(seccomp._JGE, 0x40000000)]), False)]


def _without(tests: list[tuple[int, int]]) -> None:
    """Take instructions, and the refusals that follow them, out of the filter."""
    plain = seccomp._program

    def changed(machine: str, allowed: dict[str, Any]) -> list[bytes]:
        program = plain(machine, allowed)
        for code, value in tests:
            place = next(i for i, op in enumerate(program) if op[:2] == code.to_bytes(2, "little")
                         and int.from_bytes(op[4:], "little") == value)  # fmt: skip
            del program[place : place + 2]
        return program

    seccomp._program = changed


def other_architecture(_: dict[str, Any]) -> list[str]:
    """Call 32-bit x86's getpid, whose number is another call's on x86-64."""

    def under(guarded: bool) -> str:
        def action() -> str:
            code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20; int 0x80; ret
            function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
            if not guarded:
                _without([(seccomp._JEQ, seccomp._AUDIT_ARCH["x86_64"])])
            _libc.prctl(38, 1, 0, 0, 0)
            seccomp.install(seccomp.rules(programs=False, signals=False, network=False, pid=os.getpid()))
            function()
            return "let through"

        return outcome(action)

    return [under(True), under(False)]


def files(case: dict[str, Any]) -> list[str]:
    """An attempt under Landlock alone, and with one of its rights or scopes taken away (``_NEVER``: granted)."""

    def under(taken: bool) -> str:
        name, bit = case["part"], int(case["bit"])

        def action() -> str:
            if taken:
                setattr(landlock, name, getattr(landlock, name) & ~bit)
            _libc.prctl(38, 1, 0, 0, 0)
            work = Path(case["work"]) / f"{os.getpid()}"
            work.mkdir()
            readable = [*landlock.SYSTEM, sys.base_prefix, str(ROOT)]
            if bit == landlock._EXECUTE | landlock._READ_FILE:  # no right is left for a single file
                readable = list(filter(os.path.isdir, readable))
            if not landlock.restrict(readable, [str(work), "/dev/null"], network=False):
                return "the rules were not taken"
            os.chdir(work)
            try:
                ATTEMPTS[case["attempt"]](Path(case["theirs"]))
            except OSError as error:
                return "refused" if error.errno in (errno.EACCES, errno.EPERM, errno.EXDEV) else str(error)
            return "let through"

        return outcome(action)

    return [under(False), under(True)]


def _entropy(_: Path) -> None:
    with open("/dev/urandom", "rb") as file:
        found = ctypes.c_int()
        if _libc.ioctl(file.fileno(), 0x80045200, ctypes.byref(found)) != 0:  # RNDGETENTCNT
            raise OSError(ctypes.get_errno(), "ioctl")


def _truncate(theirs: Path) -> None:
    """On a file that may be written, as one could be that was opened for it before."""
    os.truncate(theirs / "file", 1)


def _connect(_: Path) -> None:
    with socket.socket() as client:
        client.connect(("127.0.0.1", _PORT))


def _bind(_: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def _abstract(_: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0edgekit-{os.getppid()}")


def _run(theirs: Path) -> None:
    pid = os.posix_spawn(theirs / "program", ["true"], {})
    os.waitpid(pid, 0)


def _socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _inside(_: Path) -> None:
    Path("a").mkdir()
    Path("b").mkdir()
    Path("a/file").write_text("")
    os.rename("a/file", "b/file")


ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "execute": _run,
    "write": lambda theirs: os.close(os.open(theirs / "file", os.O_WRONLY)),
    "read": lambda theirs: os.close(os.open(theirs / "file", os.O_RDONLY)),
    "list": lambda theirs: os.listdir(theirs),
    "remove a folder": lambda theirs: os.rmdir(theirs / "folder"),
    "remove a file": lambda theirs: os.unlink(theirs / "spare"),
    "make a device": lambda theirs: os.mknod(theirs / f"new{os.getpid()}", 0o020600, 0),
    "make a folder": lambda theirs: os.mkdir(theirs / f"new{os.getpid()}"),
    "make a file": lambda theirs: os.mknod(theirs / f"new{os.getpid()}", 0o100600),
    "make a socket": lambda theirs: _socket_file(theirs / f"new{os.getpid()}"),
    "make a FIFO": lambda theirs: os.mkfifo(theirs / f"new{os.getpid()}"),
    "make a block device": lambda theirs: os.mknod(theirs / f"new{os.getpid()}", 0o060600, os.makedev(7, 0)),
    "make a link": lambda theirs: os.symlink("/", theirs / f"new{os.getpid()}"),
    "truncate": _truncate,
    "ask a device": _entropy,
    "bind": _bind,
    "connect": _connect,
    "abstract socket": _abstract,
    "signal": lambda _: os.kill(os.getppid(), 0),
    "device in scratch": lambda _: os.mknod("new", 0o020600, 0),
    "FIFO in scratch": lambda _: os.mkfifo("new"),
    "socket in scratch": lambda _: _socket_file(Path("new")),
    "move in scratch": _inside,
}


def resource_of(name: str) -> int:
    """Both bounds of a limit are the same."""
    low, high = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
    return low if low == high else -1


def death_signal() -> int:
    """The signal that this process gets when its parent is gone."""
    found = ctypes.c_int()
    _libc.prctl(2, ctypes.byref(found), 0, 0, 0)
    return found.value


def limits(case: dict[str, Any]) -> list[str]:
    """What is in force in a locked process, and with a part of the lock left out."""

    def under(left_out: str) -> str:
        def action() -> str:
            seccomp._REFUSE = seccomp._ERRNO | errno.EPERM
            if left_out:
                exec(left_out, {"lockdown": lockdown, "landlock": landlock, "seccomp": seccomp})
            try:
                lockdown.lock([case["work"]], [str(ROOT)], seconds=9, memory_mb=4096, file_mb=7)
            except lockdown.Unlocked as wrong:
                return f"unlocked: {wrong}"
            return str(eval(case["what"]))

        return outcome(action)

    return [under(""), under(case["left out"])]


_listening = socket.create_server(("127.0.0.1", 0))
_PORT = _listening.getsockname()[1]
_abstract_server = socket.socket(socket.AF_UNIX)
_abstract_server.bind(f"\0edgekit-{os.getpid()}")
_abstract_server.listen()


def main() -> None:
    assert threading.active_count() == 1  # everything here forks
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kinds: dict[str, Callable[[dict[str, Any]], list[str]]] = {
        "call": system_call, "architecture": other_architecture, "files": files, "limits": limits,
    }  # fmt: skip
    print(json.dumps([kinds[case["test"]](case) for case in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
