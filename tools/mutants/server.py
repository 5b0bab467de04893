"""Runs tests in a scratch checkout, each request in a fork of this process, which has imported what is slow.

    python server.py run MODULE...    one JSON line per request on stdin: {"tests", "seconds", "log"}; answers
                                      {"status"}; the modules, which no fault changes, are imported before
    python server.py map INDEX FILE -- PYTEST ARGUMENTS...      run all once; write which test runs which line

The status is ``passed``, ``failed`` or ``hung``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

PRELOADED = ("numpy", "flatbuffers", "hypothesis", "onnx", "rich.console", "click", "ai_edge_litert.interpreter")
MEMORY = 12 << 30
"""Bytes that the processes of a mutant may have: one that fills the memory ends as failed."""
ARGUMENTS = ("-x", "-q", "-p", "no:cacheprovider", "--timeout", "0", "--tb", "short")


def die_with_parent() -> None:
    """Let this process be killed when its parent ends (``prctl(PR_SET_PDEATHSIG, SIGKILL)``)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def serve(modules: list[str]) -> None:
    """Answer requests until stdin ends."""
    die_with_parent()
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)
    without_shrinking()
    for line in sys.stdin:
        print(json.dumps({"status": judge(json.loads(line))}), flush=True)


def without_shrinking() -> None:
    """Let hypothesis stop at the first example that fails: it is enough, and a smaller one can take minutes to find."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    settings.register_profile("mutants", phases=phases)
    settings.load_profile("mutants")


def judge(request: dict[str, Any]) -> str:
    """Run the tests of a request in a fork, and end everything that it started."""
    pid = os.fork()
    if pid == 0:
        child(request)
    ended, until, ready, full = os.pidfd_open(pid), time.monotonic() + request["seconds"], [], False
    while not ready and not full and time.monotonic() < until:
        ready, _, _ = select.select([ended], [], [], 0.5)
        full = memory(pid) > MEMORY
    os.close(ended)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if not ready:
        return "failed" if full else "hung"
    return "passed" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "failed"


def memory(session: int) -> int:
    """Bytes that the processes of a session have; a limit of the kernel would stop programs with AddressSanitizer."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = stat.read_text().rsplit(")", 1)[1].split()
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if int(fields[3]) == session else 0
    return total


def child(request: dict[str, Any]) -> None:
    os.setsid()
    die_with_parent()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        files = list(dict.fromkeys(test.split("::")[0] for test in request["tests"]))
        code = int(pytest.main([*ARGUMENTS, *files], plugins=[Chosen(request["tests"])]))
    finally:
        sys.stdout.flush()
        os._exit(code)


class Chosen:
    """A plug-in that runs the chosen tests, in their order; files and functions stand for all their tests.

    Those in an emulator have to be named with their parameters.
    """

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [(self.place(item), item) for item in items]
        items[:] = [item for place, item in sorted(chosen, key=lambda pair: pair[0]) if place >= 0]

    def place(self, item: pytest.Item) -> int:
        """When a test is run; -1: it is not chosen."""
        names = [item.nodeid]
        if not item.get_closest_marker("emulator"):
            names += [item.nodeid.split("[")[0], item.nodeid.split("::")[0]]
        return next((self.order[name] for name in names if name in self.order), -1)


class Mapper:
    """A plug-in that notes for each test its outcome, its seconds, and the lines that run in it.

    What a fixture of a wider scope or a cached helper runs counts for every test that uses it.
    """

    def __init__(self, lines: Any) -> None:
        self.lines = lines
        self.tests: dict[str, dict[str, Any]] = {}
        self.fixtures: dict[int, set[int]] = {}
        self.used: dict[str, list[int]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        for value in list(vars(getattr(item, "module", None) or object).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
        self.lines.clear()
        began = time.monotonic()
        result = yield
        known = self.tests.setdefault(item.nodeid, {"good": True})
        known.update(seconds=round(time.monotonic() - began, 3), lines=self.lines.taken())
        named = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
        self.used[item.nodeid] = [id(definition) for group in named.values() for definition in group]
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        before = self.lines.taken()
        self.lines.clear()
        try:
            return (yield)
        finally:
            taken = self.lines.taken()
            if fixturedef.scope != "function":
                self.fixtures.setdefault(id(fixturedef), set()).update(taken)
            for place in before:
                self.lines.bits[place] = 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self.tests.setdefault(report.nodeid, {"good": True})
        known["good"] = known["good"] and report.passed

    def result(self) -> dict[str, Any]:
        for test, known in self.tests.items():
            for fixture in self.used.get(test, ()):
                known["lines"] |= self.fixtures.get(fixture, set())
            known["lines"] = sorted(known["lines"])
        return self.tests


def record(index: Path, result: Path, arguments: list[str]) -> None:
    """Run tests once, and write what :class:`Mapper` notes."""
    sys.path.insert(0, str(Path(__file__).parent))
    from probe import Lines

    mapper = Mapper(Lines(index))
    pytest.main([*arguments, "-q", "-p", "no:cacheprovider"], plugins=[mapper])
    result.write_text(json.dumps(mapper.result()))


if __name__ == "__main__":
    if sys.argv[1] == "map":
        record(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[5:])
    else:
        serve(sys.argv[2:])
