"""An allow-list of system calls: what a child process may ask of the kernel, and with which arguments.

What is not listed is refused (EPERM); what is newer than the list does not exist (ENOSYS), so that libraries fall back
to older calls. Calls whose harm depends on an argument are let through by that argument.

Sources: ``seccomp(2)``, Linux's ``Documentation/userspace-api/seccomp_filter.rst``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from functools import cache

from .syscalls import numbers

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_REFUSE = _ERRNO | errno.EPERM
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _JA, _JEQ, _JGE, _JSET, _RET = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_NEWEST = 467
"""The highest number in the table."""

ALWAYS = """
access alarm arch_prctl brk cachestat capget chdir clock_getres clock_gettime clock_nanosleep close close_range
copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
eventfd2 exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fdatasync fgetxattr flistxattr flock fstat
fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake get_mempolicy get_thread_area getcpu
getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
getxattr ioprio_get lgetxattr link linkat listxattr llistxattr lseek lstat madvise map_shadow_stack mbind membarrier
mincore mkdir mkdirat mlock mlock2 mmap mprotect mremap mseal msync munlock munlockall munmap nanosleep newfstatat open
openat openat2 pause pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll pread64 preadv preadv2 pselect6 pwrite64
pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_yield select sendfile sendmmsg sendmsg sendto set_mempolicy set_mempolicy_home_node
set_robust_list set_thread_area set_tid_address setitimer setrlimit setsockopt shutdown sigaltstack signalfd signalfd4
socketpair splice stat statfs statx symlink symlinkat sync_file_range sysinfo tee time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times umask uname unlink
unlinkat wait4 waitid write writev
"""
PROGRAMS = "fork vfork execve execveat setpgid setsid"
"""What a child that is a program may do beyond that: it starts others."""
SIGNALS = "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal"
"""For programs whose signals something else keeps inside the sandbox: Landlock, or a PID namespace of their own."""
SOCKETS = "socket bind connect listen accept accept4"
"""For children that work together over sockets."""
NETWORK = f"{SOCKETS} memfd_create"
"""For children that use this machine's network, or a GPU's driver."""

IGNORED = "fchmod"
"""Does nothing, and says that it did: C++'s ``std::filesystem::copy`` gives up where it fails."""
_IOCTLS = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
"""TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2."""
_TTY_IOCTLS = (0x5412, 0x541C, 0x540E, 0x5423, 0x541D, 0x40086602, 0x401C5820, 0x8901, 0x8902, 0x5452)
"""TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD, TIOCCONS, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FIOSETOWN, SIOCSPGRP,
FIOASYNC: refused even where a driver needs ioctl."""
_PRCTLS = (2, 3, 7, 15, 16, 21, 23, 27, 29, 30, 37, 38, 39, 40, 41, 42, 50, 51, 54, 55, 56, 0x41555856, 0x53564D41)
"""Reading one's state, the name of a thread, timer slack, huge pages, vector lengths, pointer authentication, names of
mappings: not the signal at the parent's death, not capabilities, not who may trace."""
_FCNTLS = (8, 10, 15, 1024, 1026, 1033)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_ADD_SEALS: signals by a detour, others' locks."""
_INTERNET = (2, 10)
"""AF_INET, AF_INET6."""
_CLONE_THREAD = 0x00010000
_CLONE_REFUSED = 0x7E020000 | 0x00008000 | 0x00002000 | 0x00800000
"""New namespaces; children of one's parent; tracing."""


class Only:
    """A condition on an argument's low 32 bits.

    It must be one of ``among`` and none of ``without``, have all of ``bits``, and no bit of ``clear``.
    """

    def __init__(
        self, argument: int, among: tuple[int, ...] = (), without: tuple[int, ...] = (), bits: int = 0, clear: int = 0
    ) -> None:
        self.argument, self.among, self.without, self.bits, self.clear = argument, among, without, bits, clear


def rules(
    *, programs: bool, signals: bool, network: bool, pid: int, modes: bool = False, loopback: bool = False
) -> dict[str, tuple[Only, ...]]:
    """The calls that are let through, each with its conditions, all of which must hold.

    :param programs: the child may start programs. :param signals: of its, signals cannot leave the sandbox.
    :param network: sockets and a driver's ioctls. :param loopback: sockets of the Internet's families, for a child in
        a network of its own; local ones (AF_UNIX) would lead out of it.
    :param pid: the child itself, which may signal itself.
    """
    names = ALWAYS + (PROGRAMS if programs else "") + " " + (NETWORK if network else SOCKETS if loopback else "")
    found: dict[str, tuple[Only, ...]] = dict.fromkeys(names.split(), ())
    if programs:
        found["clone"] = (Only(0, clear=_CLONE_REFUSED),)
        found |= dict.fromkeys(SIGNALS.split() if signals else (), ())
    else:
        found["clone"] = Only(0, bits=_CLONE_THREAD), Only(0, clear=_CLONE_REFUSED)
        found |= {name: (Only(0, among=(pid,)),) for name in ("kill", "tgkill")}
    if loopback and not network:
        found["socket"] = (Only(0, among=_INTERNET),)
    if modes:
        found["fchmod"] = (Only(1, among=(0o600, 0o640, 0o644, 0o100600, 0o100640, 0o100644)),)
    found["ioctl"] = (Only(1, without=_TTY_IOCTLS) if network else Only(1, among=_IOCTLS),)
    found["prctl"] = (Only(0, among=_PRCTLS),)
    found["fcntl"] = (Only(1, without=_FCNTLS),)
    found["personality"] = (Only(0, among=(0xFFFFFFFF, 0x40000, 0)) if programs else Only(0, among=(0xFFFFFFFF,)),)
    found["setpriority"] = Only(0, among=(0,)), Only(1, among=(0,))
    for name in ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"):
        found[name] = (Only(0, among=(0,)),)
    return found


def available() -> bool:
    """True if this kernel and machine have the filter."""
    return os.uname().machine in _AUDIT_ARCH and os.path.exists("/proc/sys/kernel/seccomp")


def warm() -> None:
    """Compute, before children are forked, what all of their filters share."""
    if available():
        for loopback in (False, True):
            _program(os.uname().machine, rules(programs=False, signals=True, network=False, pid=1, loopback=loopback))


def install(allowed: dict[str, tuple[Only, ...]]) -> bool:
    """Let only these calls through, for good; False if the kernel does not take the filter."""
    machine = os.uname().machine
    if machine not in _AUDIT_ARCH:
        return False
    program = _program(machine, allowed)
    code = ctypes.create_string_buffer(b"".join(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    header = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) == 0)


def _program(machine: str, allowed: dict[str, tuple[Only, ...]]) -> list[bytes]:
    """The filter: the calls with conditions first, then runs of neighbouring numbers that are all let through.

    The kernel walks through it once for each number when it is installed, and keeps what it finds; so it is divided.
    """
    known = numbers(machine)
    program = [_op(_LOAD, 4), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), _op(_RET, _KILL), _op(_LOAD, 0)]
    if machine == "x86_64":  # the x32 numbers would go round the list
        program += [_op(_JGE, 0x40000000, 0, 1), _op(_RET, _REFUSE)]
    programs = {known[name]: conditions for name, conditions in allowed.items() if name in known}
    absent = [known[name] for name in ("clone3", "memfd_create") if known[name] not in programs]  # there are older ways
    answers = {number: _ALLOW for number, conditions in programs.items() if not conditions}
    answers |= dict.fromkeys(absent, _ERRNO | errno.ENOSYS)
    answers |= {known[name]: _ERRNO for name in IGNORED.split() if known[name] not in programs}
    special = {number: conditions for number, conditions in programs.items() if conditions}
    blocks = []
    for number, conditions in sorted(special.items()):
        block = [*(op for condition in conditions for op in _condition(condition)), _op(_RET, _ALLOW)]
        blocks += [_op(_JEQ, number, 0, len(block)), *block]
    return program + _tree(_search(frozenset(answers.items())), sorted(special), blocks)


@cache
def _search(answers: frozenset[tuple[int, int]]) -> list[bytes]:
    """Find the answer to a number without conditions. Children that are forked later have it already."""
    known = dict(answers)
    runs: list[tuple[int, int]] = [(0, _REFUSE)]  # from this number on, this answer
    for number in range(_NEWEST + 2):
        answer = known.get(number, _REFUSE) if number <= _NEWEST else _ERRNO | errno.ENOSYS
        if answer != runs[-1][1]:
            runs.append((number, answer))
    return _halves(runs)


def _tree(search: list[bytes], special: list[int], blocks: list[bytes]) -> list[bytes]:
    """Send the numbers with conditions to their blocks, and find the run of the others by halves."""
    checks = [_op(_JEQ, number, len(special) - place, 0) for place, number in enumerate(special)]
    return [*checks, _op(_JA, 1), _op(_JA, len(search)), *search, *blocks, _op(_RET, _REFUSE)]


def _halves(runs: list[tuple[int, int]]) -> list[bytes]:
    if len(runs) == 1:
        return [_op(_RET, runs[0][1])]
    middle = len(runs) // 2
    low, high = _halves(runs[:middle]), _halves(runs[middle:])
    return [_op(_JGE, runs[middle][0], 1, 0), _op(_JA, 1), _op(_JA, len(low)), *low, *high]


def _condition(only: Only) -> list[bytes]:
    """Go on behind it if it holds, else refuse."""
    refuse = _op(_RET, _REFUSE)
    found = [_op(_LOAD, 16 + 8 * only.argument)]
    count = len(only.among)
    for place, value in enumerate(only.among):
        found.append(_op(_JEQ, value & 0xFFFFFFFF, count - place, 0))
    if count:
        found.append(refuse)
    for value in only.without:
        found += [_op(_JEQ, value, 0, 1), refuse]
    if only.bits:  # of one bit
        found += [_op(_JSET, only.bits, 1, 0), refuse]
    if only.clear:
        found += [_op(_JSET, only.clear, 0, 1), refuse]
    return found


def _op(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("<HBBI", code, jt, jf, k)
