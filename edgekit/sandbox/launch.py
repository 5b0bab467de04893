"""``launch.py SETTINGS PROGRAM ARGUMENTS...``: run a program sandboxed, and leave nothing of it behind.

This process, the keeper, stays outside the lock. Whatever the program starts stays below it, since it is the subreaper,
and where the kernel allows it in a PID namespace, whose end nothing in it survives. The keeper counts the processes and
the memory of all of them together, ends them when there is too much, and ends those that are left when the program
ends, when it is asked to, or when its own parent dies. It exits as the program did.

Little is imported, neither pathlib nor typing nor dataclasses: every program that edgekit starts waits for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

package = types.ModuleType("lock")
package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
sys.modules["lock"] = package
from lock import lockdown, namespaces, tree  # type: ignore[import-not-found]  # noqa: E402

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
UNLOCKED, TOO_MUCH = 97, 98
"""Exit statuses: the lock could not be set; the program used too much memory or too many processes."""
_TICK = 0.05
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Supervise a sandboxed program: start it, forward its status, and end whatever it leaves running."""
    settings = json.loads(sys.argv[1])
    limits = settings["limits"]
    signal.signal(signal.SIGTERM, lambda *_: end(128 + signal.SIGTERM))
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != settings["parent"]:
        return
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    own_pids = not limits["network"] and not settings["plain"] and namespaces.unshare(namespaces.NEW_PID)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if own_pids:
            first(settings)
        become(settings, own_pids)
    most = (limits["memory_mb"] << 20) + tree.SLACK
    ended = os.pidfd_open(child)
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            break
        if pid == 0:
            if tree.too_much(os.getpid(), most):
                end(TOO_MUCH)
            select.select([ended], [], [], _TICK)
    end(os.waitstatus_to_exitcode(status))


def first(settings: dict[str, Any]) -> None:
    """Be the namespace's first process: start the program, wait for all, and end as the program does.

    Returns in the program's process.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    program = os.fork()
    if program == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def become(settings: dict[str, Any], own_pids: bool) -> None:
    """Lock this process down and become the program."""
    try:
        lockdown.lock(
            settings["writable"], settings["readable"], allow_exec=True, own_pids=own_pids,
            required=settings["required"], **settings["limits"],
        )  # fmt: skip
    except lockdown.Unlocked as missing:
        print(f"edgekit: the lock cannot be set: {missing}", flush=True)
        os._exit(UNLOCKED)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", flush=True)
        os._exit(127)


def end(code: int) -> None:
    """Kill everything below this process and exit, with a signal's number as a shell tells it."""
    tree.kill(os.getpid())
    os._exit(code if code >= 0 else 128 - code)


main()
