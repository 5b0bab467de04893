"""The attempts that the lock is tried with ask the kernel for what their names say, on every machine."""

from __future__ import annotations

import platform
import socket
from typing import Any

import pytest

from edgekit.sandbox import probe
from edgekit.sandbox.syscalls import numbers

CALLS = {
    "read a process's memory": "process_vm_readv", "write a process's memory": "process_vm_writev",
    "change a process's input priority": "ioprio_set", "compare processes": "kcmp",
    "take a process's file": "pidfd_getfd", "move a process's pages": "move_pages", "signal by a file's owner": "fcntl",
    "signal a thread (tgkill)": "tgkill", "signal a thread (tkill)": "tkill", "queue a signal": "rt_sigqueueinfo",
    "trace a process": "ptrace", "change its mode by fchmodat2": "fchmodat2", "mount a file system": "mount",
    "open by handle": "open_by_handle_at", "watch files (fanotify)": "fanotify_init", "io_uring": "io_uring_setup",
    "bpf": "bpf", "performance counters": "perf_event_open", "userfaultfd": "userfaultfd",
    "a user namespace": "unshare", "a network namespace": "unshare", "enter a namespace": "setns", "clone3": "clone3",
    "the keys of the kernel": "keyctl", "memory without a name (memfd)": "memfd_create",
    "shared memory (System V)": "shmget", "semaphores (System V)": "semget", "message queues": "msgget",
    "another user": "setuid", "another group": "setgid", "other groups": "setgroups", "capabilities": "capset",
    "the clock": "clock_settime", "the machine's name": "sethostname", "load a module": "init_module",
    "restart": "reboot", "swap": "swapon", "start a program (execveat)": "execveat",
}  # fmt: skip
SOCKETS = {
    "open a connection (IPv4)": (socket.AF_INET, socket.SOCK_STREAM),
    "open a connection (IPv6)": (socket.AF_INET6, socket.SOCK_STREAM),
    "send a datagram": (socket.AF_INET, socket.SOCK_DGRAM),
    "talk to local services": (socket.AF_UNIX, socket.SOCK_STREAM),
    "talk to the kernel (netlink)": (socket.AF_NETLINK, socket.SOCK_RAW),
    "see packets": (socket.AF_PACKET, socket.SOCK_RAW),
}
PRCTLS = {  # linux/prctl.h: PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_PTRACER, PR_SET_KEEPCAPS
    "outlive the parent": (1, 0), "adopt orphans": (36, 1), "let others trace": (0x59616D61, -1),
    "keep capabilities": (8, 1),
}  # fmt: skip
ATTEMPTS = {**probe.FILES, **probe.PROCESSES, **probe.KERNEL, **probe.TASKS_ONLY}


class Kernel:
    """Notes what it is asked, and refuses it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def syscall(self, *arguments: Any) -> int:
        self.asked.append(arguments)
        return 0

    def prctl(self, *arguments: Any) -> int:
        self.asked.append(("prctl", *arguments))
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    fake = Kernel()
    monkeypatch.setattr(probe, "_libc", fake)
    return fake


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_have_the_numbers_of_the_machine(kernel: Kernel, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for name in {**CALLS, **SOCKETS}:
        ATTEMPTS[name]("", 1)
    expected = [numbers(machine)[call] for call in CALLS.values()] + [numbers(machine)["socket"]] * len(SOCKETS)
    assert [asked[0] for asked in kernel.asked] == expected


def test_all_numbered_calls_are_looked_at(kernel: Kernel) -> None:
    """Of those that ask the kernel by a number, or for an option of a process, none is left out above."""
    for name, attempt in ATTEMPTS.items():
        if not {"_raw", "_prctl", "_socket"}.isdisjoint(attempt.__code__.co_names) or "_prctl" in attempt.__qualname__:
            assert name in {**CALLS, **SOCKETS, **PRCTLS, "the x32 calls": ""}, name


@pytest.mark.parametrize("name", SOCKETS)
def test_sockets_are_of_their_family(kernel: Kernel, name: str) -> None:
    ATTEMPTS[name]("", 1)
    assert kernel.asked[0][1:3] == SOCKETS[name]


@pytest.mark.parametrize("name", PRCTLS)
def test_options_of_a_process(kernel: Kernel, name: str) -> None:
    ATTEMPTS[name]("", 1)
    assert kernel.asked == [("prctl", *PRCTLS[name], 0, 0, 0)]


def test_the_second_set_of_numbers(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """x32's getpid; other machines have no second set."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    ATTEMPTS["the x32 calls"]("", 1)
    assert kernel.asked == [(0x40000000 + numbers("x86_64")["getpid"],)]
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(OSError, match="not on this machine"):
        ATTEMPTS["the x32 calls"]("", 1)
