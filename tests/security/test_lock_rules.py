"""Each rule of the lock refuses what it is for, and what it is for succeeds when that one rule is taken away."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.sandbox import landlock, lockdown, seccomp
from edgekit.sandbox.syscalls import numbers

CHILD = Path(__file__).with_name("lock_rules_child.py")
pytestmark = pytest.mark.skipif(not all(lockdown.available().values()), reason="this kernel lacks a part of the lock")
TASK = {"programs": False, "signals": True, "network": False}
PROGRAM = {"programs": True, "signals": True, "network": False}
LONE_PROGRAM = {"programs": True, "signals": False, "network": False}
NETWORK = {"programs": False, "signals": True, "network": True}
LOOPBACK = {"programs": False, "signals": True, "network": False, "loopback": True}
COPIES = {"programs": False, "signals": True, "network": False, "modes": True}

NEVER = """
acct add_key adjtimex bpf capset chmod chown chroot clock_adjtime clock_settime delete_module fanotify_init
fanotify_mark fchmodat fchmodat2 fchown fchownat finit_module fremovexattr fsconfig fsetxattr fsmount fsopen fspick
futimesat get_robust_list getxattrat init_module inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter io_uring_register io_uring_setup
ioperm iopl ioprio_set kcmp kexec_file_load kexec_load keyctl landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown listxattrat lremovexattr lsetxattr memfd_secret migrate_pages mknod mknodat mlockall
modify_ldt mount mount_setattr move_mount move_pages mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend
mq_unlink msgctl msgget msgrcv msgsnd name_to_handle_at open_by_handle_at open_tree open_tree_attr perf_event_open
pidfd_getfd pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl quotactl_fd
reboot remap_file_pages removexattr removexattrat request_key seccomp semctl semget semop semtimedop setdomainname
setfsgid setfsuid setgid setgroups sethostname setns setregid setresgid setresuid setreuid settimeofday setuid setxattr
setxattrat shmat shmctl shmdt shmget swapoff swapon sync syncfs sysfs syslog truncate umount2 unshare userfaultfd ustat
utime utimensat utimes vhangup vmsplice
"""
"""What no child may call, whatever else it may do."""
NOT_IN_TASKS = "fork vfork execve execveat setpgid setsid tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open"
NO_SIGNALS = "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal"
NO_NETWORK = "socket bind connect listen accept accept4"
HARMLESS: dict[str, list[Any]] = {"msgget": [-1, 0], "semget": [-1, 1, 0], "shmget": [-1, 1, 0]}
"""Arguments for calls that would leave something behind if all of theirs were -1."""
_THREAD = 0x10000


def calls() -> list[dict[str, Any]]:
    """Calls that are not on the list."""
    there = numbers(platform.machine()) if all(lockdown.available().values()) else {}
    groups = [(NEVER, PROGRAM), (NEVER, NETWORK), (NEVER, LOOPBACK), (NOT_IN_TASKS, TASK), (NOT_IN_TASKS, LOOPBACK)]
    groups += [(NO_SIGNALS, LONE_PROGRAM), (NO_NETWORK, PROGRAM)]
    return [
        {"test": "call", "call": name, "arguments": HARMLESS.get(name, [-1] * 6), "kind": kind}
        for names, kind in groups for name in names.split() if name in there
    ]  # fmt: skip


def conditions() -> list[dict[str, Any]]:
    """Calls that are on the list, with arguments that are not."""
    found: list[tuple[str, list[Any], dict[str, bool]]] = [("clone", [17, 0, 0, 0, 0], TASK)]
    spaces = (0x20000, *(1 << bit for bit in range(25, 31)))
    for flag in (*spaces, 0x8000, 0x2000, 0x800000):
        found += [("clone", [flag | _THREAD, 0, 0, 0, 0], TASK), ("clone", [flag | 17, 0, 0, 0, 0], PROGRAM)]
    for name in ("kill", "tgkill"):
        found.append((name, ["parent", "parent" if name == "tgkill" else 0, 0], TASK))
    for command in seccomp._TTY_IOCTLS:
        found += [("ioctl", [-1, command, 0], kind) for kind in (TASK, PROGRAM, NETWORK)]
    found += [("socket", [family, 1, 0], LOOPBACK) for family in (1, 16, 17, 38, 40)]
    found += [
        ("ioctl", [-1, command, 0], kind) for kind in (TASK, LOOPBACK) for command in (0x4B33, 0x5402, 0xC0104800, 0)
    ]
    for option in (1, 4, 8, 22, 24, 26, 28, 35, 36, 47, 53, 59, 60, 65, 67, 0x59616D61):
        found.append(("prctl", [option, 0, 0, 0, 0], PROGRAM))
    found += [("fcntl", [-1, command, 0], PROGRAM) for command in (8, 10, 15, 1024, 1026, 1033)]
    found += [("personality", [0x400000], PROGRAM), ("personality", [0x40000], TASK)]
    found += [("setpriority", [1, 0, 0], PROGRAM), ("setpriority", [0, "parent", 0], PROGRAM)]
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        found.append((name, ["parent", -1, -1, -1], PROGRAM))
    found += [("fchmod", [-1, mode], COPIES) for mode in (0o777, 0o4644, 0o755, 0o666)]
    return [{"test": "call", "call": name, "arguments": given, "kind": kind} for name, given, kind in found]


FILES = {  # attempt: (part of the rules, bit)
    "write": ("_V1", 1), "read": ("_V1", 2), "list": ("_V1", 3), "remove a folder": ("_V1", 4),
    "remove a file": ("_V1", 5), "make a device": ("_V1", 6), "make a folder": ("_V1", 7), "make a file": ("_V1", 8),
    "make a socket": ("_V1", 9), "make a FIFO": ("_V1", 10), "make a block device": ("_V1", 11),
    "make a link": ("_V1", 12), "truncate": ("_TRUNCATE", 14), "ask a device": ("_IOCTL_DEV", 15),
    "bind": ("_PORTS", 0), "connect": ("_PORTS", 1), "abstract socket": ("_SCOPES", 0), "signal": ("_SCOPES", 1),
    "device in scratch": ("_NEVER", 6), "socket in scratch": ("_NEVER", 9), "FIFO in scratch": ("_NEVER", 10),
}  # fmt: skip
SINCE = {"truncate": 3, "ask a device": 5, "bind": 4, "connect": 4, "abstract socket": 6, "signal": 6}
"""The version of Landlock that has the right."""
LIMITS = {
    "processor time": ("lockdown._limit = lambda *_: None", "resource_of('CPU') == 9 * os.cpu_count() + 1"),
    "memory": ("lockdown._limit = lambda *_: None", "resource_of('DATA') == 4096 << 20"),
    "size of a file": ("lockdown._limit = lambda *_: None", "resource_of('FSIZE') == 7 << 20"),
    "core dumps": ("lockdown._limit = lambda *_: None", "resource_of('CORE') == 0"),
    "death of the parent": ("lockdown._PR_SET_PDEATHSIG = 63", "death_signal() == signal.SIGKILL"),
}
READ_BACK = {
    "Landlock's rules": ("landlock.restrict = lambda *a, **k: False", "Landlock"),
    "the filter's installation": ("seccomp.install = lambda rules: False", "seccomp"),
    "files": ("landlock.restrict = lambda *a, **k: True", "Landlock for /"),
    "devices": ("landlock.SYSTEM += ('/',)", "Landlock for /"),
    "the filter": ("seccomp.install = lambda rules: True", "seccomp's filter"),
    "one call": ("seccomp.ALWAYS += 'ptrace'", "seccomp for ptrace"),
    "new privileges": ("lockdown._PR_SET_NO_NEW_PRIVS = 63", "no_new_privs"),
    "capabilities": ("lockdown._drop_capabilities = lambda: None", "capabilities"),
}


def _of_limits(names: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"test": "limits", "left out": out, "what": what} for out, what in names.values()]


def _of_files() -> list[dict[str, Any]]:
    return [{"test": "files", "attempt": name, "part": part, "bit": 1 << bit} for name, (part, bit) in FILES.items()]


def shown(case: dict[str, Any]) -> str:
    """A case's name, for pytest."""
    kind = next(
        name for name in ("TASK", "PROGRAM", "LONE_PROGRAM", "NETWORK", "LOOPBACK", "COPIES")
        if globals()[name] is case["kind"]
    )  # fmt: skip
    given = [value for value in case["arguments"] if value not in (-1, 0)]
    return "-".join([kind.lower(), case["call"], *(hex(v) if isinstance(v, int) else v for v in given)])


CASES = [*calls(), *conditions()]
Answers = Callable[[list[dict[str, Any]]], list[list[str]]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Answers to cases, from a process that has no threads."""
    work, theirs = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("theirs")
    for name in ("file", "spare"):
        (theirs / name).write_text("kept")
    (theirs / "folder").mkdir()
    shutil.copy("/bin/true", theirs / "program")

    def ask(cases: list[dict[str, Any]]) -> list[list[str]]:
        told = json.dumps([{**case, "work": str(work), "theirs": str(theirs)} for case in cases])
        command = [sys.executable, "-I", str(CHILD)]
        done = subprocess.run(command, input=told, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        found: list[list[str]] = json.loads(done.stdout)
        return found

    return ask


@pytest.fixture(scope="module")
def asked(answers: Answers) -> dict[str, list[str]]:
    return dict(zip(map(shown, CASES), answers(CASES), strict=True))


@pytest.mark.parametrize("name", list(map(shown, CASES)))
def test_a_call_is_refused_by_its_rule(name: str, asked: dict[str, list[str]]) -> None:
    with_rule, without = asked[name]
    assert with_rule == "refused"
    assert without != "refused"


def test_calls_with_older_ways_do_not_exist(answers: Answers) -> None:
    """Libraries take the older way then: fork and threads by clone, files in the scratch folder."""
    cases = [{"test": "call", "call": name, "arguments": [-1] * 6, "kind": TASK} for name in ("clone3", "memfd_create")]
    assert answers(cases) == [["ENOSYS", "let through"]] * 2


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have no second set of numbers")
def test_the_numbers_of_other_instruction_sets_are_refused(answers: Answers) -> None:
    """x32's, which the list itself would not know, and those of 32-bit x86, whose 20 is getpid and here is writev."""
    x32, ia32 = answers(
        [{"test": "call", "call": 0x40000000 + 39, "arguments": [], "kind": PROGRAM}, {"test": "architecture"}]
    )
    assert x32 == ["refused", "ENOSYS"]
    if ia32[1] == "signal 11":
        pytest.skip("this kernel runs no 32-bit programs")
    assert ia32 == ["signal 31", "let through"]


@pytest.mark.parametrize("name", FILES)
def test_a_right_is_refused_by_its_rule(name: str, answers: Answers) -> None:
    if landlock.version() < SINCE.get(name, 1):
        pytest.skip("this kernel's Landlock has no such right")
    if name == "make a block device" and os.geteuid() != 0:
        pytest.skip("only root can make one anyway")
    (found,) = answers([case for case in _of_files() if case["attempt"] == name])
    assert found == ["refused", "let through"]


def test_a_program_is_run_only_from_where_it_may_be_read(answers: Answers) -> None:
    """Running takes both rights, so it succeeds when neither is asked for."""
    both = {"test": "files", "attempt": "execute", "part": "_V1", "bit": 0b101}
    assert answers([both, {**both, "bit": 0b100}]) == [["refused", "let through"], ["refused", "refused"]]


@pytest.mark.skipif(landlock.version() < 2, reason="this kernel's Landlock moves no file to another folder")
def test_files_move_between_folders_of_the_scratch_folder(answers: Answers) -> None:
    """The one right that is granted by being named: without it Landlock refuses."""
    found = answers([{"test": "files", "attempt": "move in scratch", "part": "_REFER", "bit": 1 << 13}])
    assert found == [["let through", "refused"]]


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_in_force(name: str, answers: Answers) -> None:
    assert answers(_of_limits({name: LIMITS[name]})) == [["True", "False"]]


@pytest.mark.parametrize("name", READ_BACK)
def test_what_is_left_out_is_read_back(name: str, answers: Answers) -> None:
    if name in ("capabilities", "new privileges") and os.geteuid() != 0:
        pytest.skip("an ordinary user has no capabilities, and no filter without no_new_privs")
    (found,) = answers(_of_limits({name: (READ_BACK[name][0], "'locked'")}))
    assert found[0] == "locked"
    assert found[1].startswith("unlocked: ") and READ_BACK[name][1] in found[1]


def test_the_filters_answer_is_an_error_that_programs_know() -> None:
    assert seccomp._REFUSE == 0x00050000 | errno.EPERM
