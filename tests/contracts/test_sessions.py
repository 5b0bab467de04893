"""Every runner keeps the contract of sessions: made ready once, run many times, and nothing left whatever happens."""

from __future__ import annotations

import os
import platform
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import bundle, plugins, target
from edgekit.api.compile import compile
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.errors import DeviceError, EdgekitError, ToolMissing, UsageError
from edgekit.graph import tflite
from edgekit.metrics.parity import compare
from edgekit.runners import Observes, Runner, RunOptions, Session, Source, opened, provers
from edgekit.runners import get as get_runner
from edgekit.tools import toolchain
from tests.installed import needed
from tests.networks.small import convolutional, integers
from tests.runners.adb_phone import phone
from tests.ssh_server import ssh_server

RUNNERS = sorted(set(plugins.names("runners")) - {"serial"})  # which has a board in tests/runners/test_serial.py
UNICORN = "unicorn"
"""The runner ``emulator`` for a microcontroller, where QEMU is missing."""
REMOTE = ("adb", "ssh")
BUNDLES = {
    "adb": ("android-arm64", "android"), "csim": ("zynq-hls4ml", "hls4ml"),
    "cuda-emulator": ("jetson-orin-nano", "cuda"), "emulator": ("rpi4", "litert"),
    "host": ("host", "litert"), "host-gpu": ("jetson-orin-nano", "cuda"), "mil": ("ios", "coreml"),
    "null": ("host", "null"), "onnx": ("jetson-orin-nano", "tensorrt"), "pocl": ("mali-g610", "opencl"),
    "ssh": ("host", "litert"), "vela": ("ethos-u55-128", "vela"),
    "verilator": ("ecp5-85f", "overlay"), UNICORN: ("nucleo-l4r5zi", "c99"),
}  # fmt: skip
"""For each runner, a target and a backend whose bundles it runs."""
ONCE = {
    "adb": "edgekit.transport.adb.AdbConnection.__enter__", "csim": "edgekit.runners.csim.project.compiled",
    "cuda-emulator": "edgekit.backends.gpu.host_build.get",
    "emulator": "edgekit.runners.emulator.guest.machine", "host": "edgekit.runners.host._tools",
    "host-gpu": "edgekit.backends.cuda.nvrtc.compiled", "mil": "edgekit.tools.toolchain.load",
    "onnx": "edgekit.runners.onnx._names", "pocl": "edgekit.backends.gpu.host_build.get",
    "ssh": "edgekit.transport.ssh.SshConnection.open", "vela": "edgekit.runners.vela._code_differs",
    "verilator": "edgekit.runners.verilator.simulator.built", UNICORN: "edgekit.runners.qemu_system._without_qemu",
}  # fmt: skip
"""For each runner, what it does to make ready."""
pytestmark = pytest.mark.emulator


@dataclass
class Case:
    """A runner with a bundle for it; ``place`` is where its device keeps folders, and ``temporary`` where we do."""

    name: str
    runner: Runner
    bundle: bundle.Bundle
    place: Path | None
    temporary: Path

    @property
    def inputs(self) -> list[Any]:
        return self.bundle.golden()[0]

    def open(self) -> Any:
        return opened(self.runner, self.bundle)

    def left(self) -> list[str]:
        """What is left here and on the device, which may take a moment."""
        end = time.monotonic() + 10
        while (names := self._names()) and time.monotonic() < end:
            time.sleep(0.05)
        return names

    def _names(self) -> list[str]:
        return sorted(path.name for folder in (self.place, self.temporary) if folder for path in folder.iterdir())


Bundles = Callable[[str], bundle.Bundle]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Bundles by the names of their runners, each compiled once."""
    found: dict[tuple[str, str], bundle.Bundle] = {}
    folder = tmp_path_factory.mktemp("bundles")

    def of(name: str) -> bundle.Bundle:
        board, backend = BUNDLES[name]
        if (board, backend) not in found:
            network = folder / f"{backend}.tflite"
            tflite.write(
                integers() if backend in ("hls4ml", "overlay", "tensorrt", "vela") else convolutional(), network
            )
            try:
                made = compile(network, targets=[board], backend=backend, out=folder / f"{board}-{backend}")
            except ToolMissing as error:
                pytest.skip(error.message)
            found[board, backend] = bundle.load(made[0].path)
        return found[board, backend]

    return of


@contextmanager
def device(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path | None]]:
    """The runner's device or a stand-in: what ``--on`` says, and where it keeps folders."""
    if name == "ssh":
        with ssh_server('export TMPDIR="{tmp}"; exec sh -c "$SSH_ORIGINAL_COMMAND"') as server:
            monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", server.options)
            yield f"ssh://127.0.0.1:{server.port}", server.tmp
    elif name == UNICORN:
        needed("unicorn", "unicorn")
        which = toolchain.shutil.which
        monkeypatch.setattr(toolchain.shutil, "which", lambda name: None if name == "qemu-system-arm" else which(name))
        yield "emulator", None
    elif name == "adb":
        with phone(folder) as there:
            monkeypatch.setenv("ADB_SERVER_SOCKET", there.env["ADB_SERVER_SOCKET"])
            yield name, there.tmp
    else:
        yield name, None


@pytest.fixture(params=[*RUNNERS, UNICORN])
def case(
    request: pytest.FixtureRequest, bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Case]:
    made = bundles(request.param)
    with device(request.param, tmp_path, monkeypatch) as (on, place):
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        tempfile.tempdir = str(temporary)
        found = Case(request.param, get_runner(on), made, place, temporary)
        if request.param == "host-gpu":
            try:
                with found.open() as session:
                    session.run(found.inputs)
            except (ToolMissing, DeviceError) as error:
                pytest.skip(error.message)
        yield found
        assert found.left() == []


def counted(monkeypatch: pytest.MonkeyPatch, what: str) -> Counter[str]:
    """Count the calls of a function or method."""
    count: Counter[str] = Counter()
    place, _, name = what.rpartition(".")
    holder = _resolve(place)
    function = holder.__dict__[name]

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[name] += 1
        return function(*args, **kwargs)

    monkeypatch.setattr(holder, name, counting)
    return count


def _resolve(place: str) -> Any:
    import importlib

    try:
        return importlib.import_module(place)
    except ImportError:
        module, _, name = place.rpartition(".")
        return importlib.import_module(module).__dict__[name]


def same(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_two_runs_are_made_ready_once_and_give_the_same(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    once = counted(monkeypatch, ONCE[case.name]) if case.name in ONCE else None
    inputs, reference = case.bundle.golden()
    with case.open() as session:
        first, second = session.run(inputs), session.run(inputs, RunOptions(repeat=2, profile=True))
        few = session.run([x[:1] for x in inputs])  # no results of a larger run are taken for its own
        assert session.info().name
    assert compare(case.bundle.graph, reference, first.outputs).ok
    assert same(first.outputs, second.outputs) and [len(y) for y in few.outputs] == [1] * len(reference)
    assert once is None or sum(once.values()) == 1
    assert first.trace.source is case.runner.source
    observed = {Observes.TIMES: bool(second.trace.latency_ms), Observes.COUNTS: bool(second.trace.counts)}
    assert [kind for kind, there in observed.items() if there] == (
        [] if case.runner.observes is Observes.NOTHING else [case.runner.observes]
    )


@pytest.mark.parametrize("case", REMOTE, indirect=True)
def test_the_bundle_is_uploaded_once_and_goes_away(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    connection = type(case.runner.connection())  # type: ignore[attr-defined]
    put = connection.put

    def recording(self: Any, files: dict[str, Any]) -> None:
        sent.extend(files)
        put(self, files)

    monkeypatch.setattr(connection, "put", recording)
    with case.open() as session:
        for _ in range(3):
            session.run(case.inputs)
        assert case._names() != []
    assert case.left() == []
    counts = Counter(sent)
    assert counts["edgekit-run"] == 1 and set(counts.values()) == {1}


def test_errors_leave_the_session_closable(case: Case) -> None:
    bad = [np.zeros((1, 1), x.dtype) for x in case.inputs]
    with pytest.raises(DeviceError, match="later"), case.open() as session:
        with pytest.raises((EdgekitError, ValueError)):
            session.run(bad)
        raise DeviceError("later")
    assert case.left() == []


@pytest.mark.parametrize("case", REMOTE, indirect=True)
def test_a_run_after_an_error_is_as_good_as_before(case: Case) -> None:
    with case.open() as session:
        first = session.run(case.inputs)
        with pytest.raises(DeviceError):
            session.run([np.zeros((1, 1), x.dtype) for x in case.inputs])
        assert same(session.run(case.inputs).outputs, first.outputs)


@pytest.mark.parametrize("case", ["host", "emulator", *REMOTE], indirect=True)
def test_ctrl_c_in_a_run_leaves_nothing(case: Case) -> None:
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), case.open() as session:
        interrupt = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        try:
            _for_long(case, session)
        finally:
            interrupt.cancel()
    assert time.monotonic() - begun < 20
    assert case.left() == []


def _for_long(case: Case, session: Session) -> None:
    many = case.runner.observes is Observes.COUNTS  # which ignore repetitions
    inputs = [np.repeat(x[:1], 50_000, axis=0) for x in case.inputs] if many else case.inputs
    session.run(inputs, RunOptions(repeat=5_000_000))
    pytest.fail("it ended before it was interrupted")


@pytest.mark.parametrize("name", RUNNERS)
def test_what_a_runner_says_of_itself(name: str) -> None:
    runner: Runner = plugins.get("runners", name)
    board, _ = BUNDLES[name]
    assert runner.name == name and runner.source in Source and runner.observes in Observes
    if runner.proves:
        assert runner.source is not Source.DEVICE
    if name not in REMOTE:
        with pytest.raises(UsageError, match=f"--on {name} takes no address"):
            get_runner(f"{name}:somewhere")
    handover = runner.accepts(Execution(Kind.HANDOVER, ("artifact/build.sh",), prover="nobody"), target.load(board))
    assert handover is None if name == "null" else handover is not None and handover.reason


RUNTIME = Execution(Kind.RUNTIME, runner_command("libLiteRt.so", model=True), "libLiteRt.so")
LIBRARY = Execution(Kind.LIBRARY, runner_command("network.so", model=False), "network.so")
PROVERS = [
    ("host", RUNTIME, ["host"]),
    ("rpi5", RUNTIME, ["emulator", "host"]),  # LiteRT of this machine takes its model
    ("rpi5", LIBRARY, ["emulator"] if platform.machine() != "aarch64" else ["emulator", "host"]),
    ("rpi5", Execution(prover="null"), ["null"]),
    ("android-arm64", Execution(), ["host"]),  # a network, and no program to emulate
    ("coral-edgetpu", Execution(network="network.tflite"), ["host"]),
    ("mali-g610", LIBRARY, ["pocl"]),
    ("jetson-orin-nano", LIBRARY, ["cuda-emulator"]),
    ("jetson-orin-nano", Execution(Kind.HANDOVER, ("artifact/build.sh",), prover="onnx"), ["onnx"]),
    ("ios", Execution(Kind.HANDOVER, ("artifact/verify_on_mac.py",), prover="mil"), ["mil"]),
]


@pytest.mark.parametrize(("board", "execution", "expected"), PROVERS)
def test_who_proves_a_bundle(board: str, execution: Execution, expected: list[str]) -> None:
    assert provers(target.load(board), execution) == expected
