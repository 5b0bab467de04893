"""What the filter of system calls and the rules for files say, read without setting them: at every boundary."""

from __future__ import annotations

import errno
import struct
from functools import cache
from typing import Any

import pytest

from edgekit.sandbox import landlock, seccomp
from edgekit.sandbox.syscalls import numbers

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED, REFUSED, ABSENT, KILLED, IGNORED = 0x7FFF0000, 0x00050001, 0x00050000 | errno.ENOSYS, 0x80000000, 0x00050000
PID = 4711
THREAD = 0x00010000
TASK, PROGRAM, LONE, NETWORK, LOOPBACK, COPIES = "task", "program", "lone", "network", "loopback", "copies"
KINDS: dict[str, dict[str, bool]] = {
    TASK: {"programs": False, "signals": True, "network": False},
    PROGRAM: {"programs": True, "signals": True, "network": False},
    LONE: {"programs": True, "signals": False, "network": False},
    NETWORK: {"programs": False, "signals": True, "network": True},
    LOOPBACK: {"programs": False, "signals": True, "network": False, "loopback": True},
    COPIES: {"programs": False, "signals": True, "network": False, "modes": True},
    "both": {"programs": False, "signals": True, "network": True, "loopback": True},
}


@cache
def program(kind: str, machine: str) -> list[tuple[int, ...]]:
    """The filter of a kind of child."""
    rules = seccomp.rules(pid=PID, **KINDS[kind])
    return [struct.unpack("<HBBI", one) for one in seccomp._program(machine, rules)]


def answer(kind: str, call: str | int, *arguments: int, machine: str = "x86_64", arch: int = 0) -> int:
    """What the kernel does with a call: an interpreter of the filter (``struct seccomp_data``: seccomp(2))."""
    number = numbers(machine)[call] if isinstance(call, str) else call
    values = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, *(0,) * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, arch or MACHINES[machine], 0, *values)
    operations = program(kind, machine)
    place = accumulator = 0
    for _ in operations:
        code, jt, jf, k = operations[place]
        place += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x05:  # BPF_JMP | BPF_JA
            place += k
        elif code in (0x15, 0x35, 0x45):  # BPF_JEQ, BPF_JGE, BPF_JSET
            holds = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            place += jt if holds else jf
        else:
            assert code == 0x06  # BPF_RET
            return k
    raise AssertionError("the filter does not end")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_has_its_answer(machine: str, kind: str) -> None:
    """Of all numbers: what is listed without conditions, and nothing else, is let through whatever the arguments."""
    rules, known = seccomp.rules(pid=PID, **KINDS[kind]), numbers(machine)
    free = {known[name] for name, conditions in rules.items() if not conditions and name in known}
    special = {known[name] for name, conditions in rules.items() if conditions and name in known}
    absent = {known["clone3"], known["memfd_create"]} - free
    ignored = {known["fchmod"]} - special
    for number in range(seccomp._NEWEST + 3):
        if number not in special:
            expected = ALLOWED if number in free else IGNORED if number in ignored else REFUSED
            if number in absent or number > seccomp._NEWEST:
                expected = ABSENT
            assert answer(kind, number, machine=machine) == expected, number


def test_the_newest_call_of_the_table_is_known() -> None:
    assert max(max(numbers(machine).values()) for machine in MACHINES) == seccomp._NEWEST


def test_other_machines_calls_are_not_looked_at() -> None:
    assert answer(TASK, "read", arch=0x40000003) == KILLED
    assert answer(TASK, 0x40000000) == REFUSED and answer(TASK, 0x3FFFFFFF) == ABSENT
    assert answer(TASK, 0x40000000, machine="aarch64") == ABSENT


@pytest.mark.parametrize("kind", [TASK, PROGRAM, LOOPBACK])
def test_files_are_asked_what_libraries_ask(kind: str) -> None:
    """Of a terminal and its size, of what is there to read; not to type into it."""
    for command in (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A):
        assert answer(kind, "ioctl", 1, command) == ALLOWED
        assert answer(kind, "ioctl", 1, command | 0xFF00000000) == ALLOWED  # the kernel looks at 32 bits
    for command in (0x5400, 0x5402, 0x5412, 0x5414, 0x40086602, 0):
        assert answer(kind, "ioctl", 1, command) == REFUSED


def test_drivers_are_asked_all_but_what_harms() -> None:
    for command in (0x5412, 0x541C, 0x540E, 0x5423, 0x541D, 0x40086602, 0x401C5820, 0x8901, 0x8902, 0x5452):
        assert answer(NETWORK, "ioctl", 1, command) == REFUSED
    for command in (0x5401, 0xC0104800, 0x5411, 0x5413):
        assert answer(NETWORK, "ioctl", 1, command) == ALLOWED


def test_threads_and_processes() -> None:
    thread = 0x3D0F00  # what glibc's threads ask for (pthread_create)
    fork = 0x01200000 | 17  # CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID and SIGCHLD: glibc's fork
    vfork = 0x4000 | 0x100 | 17
    assert [answer(TASK, "clone", flags) for flags in (thread, fork, vfork)] == [ALLOWED, REFUSED, REFUSED]
    assert [answer(PROGRAM, "clone", flags) for flags in (thread, fork, vfork)] == [ALLOWED] * 3
    namespaces = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
    for flag in (*namespaces, 0x8000, 0x2000, 0x00800000):
        assert answer(PROGRAM, "clone", fork | flag) == REFUSED
        assert answer(TASK, "clone", thread | flag) == REFUSED
    for harmless in (0x100, 0x200, 0x400, 0x800, 0x1000, 0x4000, 0x40000, 0x80000, 0x100000, 0x200000, 0x01000000):
        assert answer(PROGRAM, "clone", 17 | harmless) == ALLOWED


def test_signals_stay_inside() -> None:
    assert answer(TASK, "kill", PID, 9) == answer(TASK, "tgkill", PID, PID, 9) == ALLOWED
    assert answer(TASK, "kill", PID + 1, 9) == answer(TASK, "kill", -1, 9) == REFUSED
    assert answer(PROGRAM, "kill", 1, 9) == ALLOWED and answer(LONE, "kill", 1, 9) == REFUSED


def test_sockets_of_a_network_of_its_own() -> None:
    assert [answer(LOOPBACK, "socket", family, 1) for family in (2, 10)] == [ALLOWED, ALLOWED]
    assert [answer(LOOPBACK, "socket", family, 1) for family in (0, 1, 3, 9, 11, 16, 17)] == [REFUSED] * 7
    assert answer(NETWORK, "socket", 1, 1) == ALLOWED and answer(TASK, "socket", 2, 1) == REFUSED
    assert answer("both", "socket", 1, 1) == ALLOWED


def test_modes_of_copies() -> None:
    assert answer(TASK, "fchmod", 3, 0o4777) == IGNORED
    for mode in (0o600, 0o640, 0o644):
        assert answer(COPIES, "fchmod", 3, mode) == answer(COPIES, "fchmod", 3, 0o100000 | mode) == ALLOWED
    for mode in (0o601, 0o645, 0o700, 0o4644, 0o104644):
        assert answer(COPIES, "fchmod", 3, mode) == REFUSED


def test_state_of_ones_own() -> None:
    for option in (2, 3, 7, 15, 16, 21, 23, 27, 29, 30, 37, 38, 39, 40, 41, 42, 50, 51, 54, 55, 56):
        assert answer(PROGRAM, "prctl", option) == ALLOWED
    for option in (0x41555856, 0x53564D41):
        assert answer(PROGRAM, "prctl", option) == ALLOWED
    for option in (1, 4, 6, 8, 14, 17, 22, 24, 26, 28, 31, 36, 43, 49, 52, 53, 57):
        assert answer(PROGRAM, "prctl", option) == REFUSED
    for command in (8, 10, 15, 1024, 1026, 1033):
        assert answer(PROGRAM, "fcntl", 3, command) == REFUSED
    for command in (0, 1, 2, 3, 4, 5, 6, 7, 9, 16, 1025, 1030, 1031, 1032, 1034):
        assert answer(PROGRAM, "fcntl", 3, command) == ALLOWED
    assert [answer(TASK, "personality", value) for value in (0xFFFFFFFF, 0x40000, 0)] == [ALLOWED, REFUSED, REFUSED]
    assert [answer(PROGRAM, "personality", value) for value in (0xFFFFFFFF, 0x40000, 0)] == [ALLOWED] * 3
    assert answer(PROGRAM, "personality", 0x40001) == REFUSED
    assert answer(PROGRAM, "setpriority", 0, 0, 5) == ALLOWED
    assert answer(PROGRAM, "setpriority", 1, 0, 5) == answer(PROGRAM, "setpriority", 0, 1, 5) == REFUSED
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        assert answer(PROGRAM, name, 0, 5) == ALLOWED and answer(PROGRAM, name, PID, 5) == REFUSED


class Kernel:
    """A kernel with a version of Landlock, that notes what is asked of it."""

    def __init__(self, version: int, refuses: int = 0) -> None:
        self.version, self.refuses = version, refuses
        self.ruleset: tuple[int, ...] = ()
        self.grants: list[int] = []

    def syscall(self, number: int, *arguments: Any) -> int:
        if number == self.refuses and arguments[0] is not None:
            return -1
        if number == 444 and arguments[0] is None:
            return self.version or -1
        if number == 444:
            self.ruleset = struct.unpack(f"<{arguments[1] // 8}Q", arguments[0][: arguments[1]])
            return landlock.os.open("/dev/null", landlock.os.O_RDONLY)
        if number == 445:
            self.grants.append(struct.unpack("<Qi", arguments[2])[0])
        return 0


V1, V2, V3, V5 = (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 16) - 1


@pytest.mark.parametrize(
    ("version", "options", "asked"),
    [
        (1, {}, (V1,)),
        (2, {}, (V2,)),
        (3, {}, (V3,)),
        (4, {}, (V3, 3)),
        (5, {}, (V5, 3)),
        (6, {}, (V5, 3, 3)),
        (7, {}, (V5, 3, 3)),
        (7, {"loopback": True}, (V5, 0, 3)),
        (7, {"network": True}, (V3, 0, 2)),
        (3, {"network": True}, (V3,)),
    ],
)
def test_rights_are_those_of_the_kernels_version(
    monkeypatch: pytest.MonkeyPatch, version: int, options: dict[str, bool], asked: tuple[int, ...]
) -> None:
    kernel = Kernel(version)
    monkeypatch.setattr(landlock, "_libc", kernel)
    assert landlock.restrict(["/usr", "/dev/null"], ["/tmp", "/dev/null"], **{"network": False, **options})
    assert kernel.ruleset == asked
    never = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11
    files = asked[0] & (0b111 | 1 << 14 | 1 << 15)
    assert kernel.grants == [0b1101, 0b101, asked[0] & ~never, files]


def test_a_path_that_is_not_there_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(3)
    monkeypatch.setattr(landlock, "_libc", kernel)
    assert landlock.restrict(["/not/there"], [], network=False) and kernel.grants == []


@pytest.mark.parametrize(("version", "refuses"), [(0, 0), (3, 444), (3, 445), (3, 446)])
def test_what_the_kernel_refuses_is_told(monkeypatch: pytest.MonkeyPatch, version: int, refuses: int) -> None:
    monkeypatch.setattr(landlock, "_libc", Kernel(version, refuses))
    assert not landlock.restrict(["/usr"], [], network=False)
    assert landlock.version() == version
