"""What a locked program leaves behind, what it prints and what a board sends is read with bounds, whatever it is."""

from __future__ import annotations

import json
import os
import socketserver
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.bundle.execution import Execution
from edgekit.errors import CheckFailed, DeviceError, EdgekitError, ModelError
from edgekit.files import left_behind, pipes
from edgekit.graph import Graph
from edgekit.readers import onnx2tf
from edgekit.runners import RunOptions, host
from edgekit.runners.emulator import report
from edgekit.runners.linux import process
from edgekit.runners.linux.program import Program
from edgekit.transport.adb import AdbConnection
from edgekit.transport.ssh import Address, SshConnection
from tests.networks.small import dense

Result = tuple[dict[str, Any], dict[str, Any]]
SECONDS = 30.0
TRACE: dict[str, Any] = {
    "runtime": "x", "latency_ms": [1.0], "events": [], "power": None, "peak_ram_bytes": 1, "threads": 1,
    "machine": {"model": "m", "cpu": "c", "clock_mhz": 1}, "init_ms": 1,
}  # fmt: skip


class Bundle:
    """As much of a bundle as a run needs."""

    graph: Graph = dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    artifact = model = Path("/nonexistent")
    manifest: ClassVar[dict[str, Any]] = {}
    execution = Execution()


def execute(folder: Path, code: str) -> object:
    """Run a program of a stranger's in the place of the bundle's own."""
    inputs = [np.zeros((1, 1, 8), np.float32)]
    good = f"import json, os, sys; open('trace.json', 'w').write({json.dumps(TRACE)!r})\n"
    good += "open('out.bin', 'wb').write(bytes(16))\n"
    command = [sys.executable, "-c", good + code]
    limits = sandbox.Limits(seconds=SECONDS, memory_mb=2048)
    bundle: Any = Bundle()
    return host.Process(command, bundle, Program(), env=os.environ, limits=limits).execute(inputs, RunOptions(), folder)


def test_the_program_itself_is_fine(tmp_path: Path) -> None:
    execute(tmp_path, "")


SPOILT = {
    "fifo": "os.remove('out.bin'); os.mkfifo('out.bin')",
    "endless": "os.remove('out.bin'); os.symlink('/dev/zero', 'out.bin')",
    "link": "os.remove('out.bin'); os.symlink('/etc/hostname', 'out.bin')",
    "folder": "os.remove('out.bin'); os.mkdir('out.bin')",
    "missing": "os.remove('out.bin')",
    "sparse": "os.truncate('out.bin', 2 << 30)",
    "trace fifo": "os.remove('trace.json'); os.mkfifo('trace.json')",
    "trace endless": "os.remove('trace.json'); os.symlink('/dev/zero', 'trace.json')",
    "trace missing": "os.remove('trace.json')",
    "trace sparse": "os.truncate('trace.json', 2 << 30)",
    "trace deep": "open('trace.json', 'w').write('[' * 1000000)",
    "trace of another kind": "open('trace.json', 'w').write('[1]')",
    "trace of bytes": "open('trace.json', 'wb').write(bytes(range(256)))",
    "trace of infinities": "open('trace.json', 'w').write(open('trace.json').read().replace('1', 'Infinity'))",
    "trace without machine": "open('trace.json', 'w').write('{\"machine\": 3, \"power\": [], \"runtime\": 1}')",
    "flood": "[os.write(1, bytes(1 << 20)) for _ in range(3 << 10)]",
    "flood of errors": "[os.write(2, bytes(1 << 20)) for _ in range(3 << 10)]",
}


@pytest.mark.parametrize("what", SPOILT)
def test_results_of_a_run(tmp_path: Path, what: str) -> None:
    begun = time.monotonic()
    with pytest.raises((DeviceError, ModelError)):
        execute(tmp_path, SPOILT[what])
    assert time.monotonic() - begun < SECONDS / 2


def test_what_holds_the_pipe_open_is_not_waited_for(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.Popen(['sleep', '25'], start_new_session=True); print('done')"
    begun = time.monotonic()
    done = sandbox.run_program([sys.executable, "-c", code], folder=tmp_path, limits=sandbox.Limits(seconds=20))
    assert done.stdout == "done\n"
    assert time.monotonic() - begun < 15


def test_output_is_text_with_ends_of_lines_as_they_should_be(tmp_path: Path) -> None:
    code = "import os; os.write(1, b'a\\r\\nb\\xff'); os.write(2, b'c')"
    assert sandbox.run_program([sys.executable, "-c", code], folder=tmp_path).stdout == "a\nb\ufffdc"


# Tasks of a child that a hostile network took over.
def linked_result(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    _end(work, lambda: (work / "result.json").symlink_to("/dev/zero"))


def piped_result(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    _end(work, lambda: os.mkfifo(work / "result.json"))


def deep_result(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    _end(work, lambda: (work / "result.json").write_text('{"value":' + "[" * 500_000))


def odd_result(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    _end(work, lambda: (work / "result.json").write_text('["value"]'))


def odd_error(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    _end(work, lambda: (work / "result.json").write_text('{"error": "none", "value": [1]}'))


def packed_arrays(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    """Three gigabytes of zeros in three megabytes."""

    def write() -> None:
        (work / "result.json").write_text('{"value": {}}')
        header: Any = {"descr": "|u1", "fortran_order": False, "shape": (1 << 30,)}
        archive = zipfile.ZipFile(work / "result.npz", "w", zipfile.ZIP_DEFLATED)
        with archive, archive.open("a.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(1 << 10):
                file.write(bytes(1 << 20))

    _end(work, write)


def broken_arrays(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    def write() -> None:
        (work / "result.json").write_text('{"value": {}}')
        (work / "result.npz").write_bytes(b"PK\x03\x04 and no more")

    _end(work, write)


def linked_arrays(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    def write() -> None:
        (work / "result.json").write_text('{"value": {}}')
        (work / "result.npz").symlink_to("/dev/zero")

    _end(work, write)


def _end(work: Path, write: Callable[[], object]) -> Any:
    write()
    os._exit(0)


@pytest.mark.parametrize(
    "task",
    [linked_result, piped_result, deep_result, odd_result, odd_error, packed_arrays, broken_arrays, linked_arrays],
)
def test_results_of_a_task(task: Callable[..., Result]) -> None:
    with pytest.raises(EdgekitError) as raised:
        sandbox.call(f"tests.security.test_left_behind:{task.__name__}", {}, limits=sandbox.Limits(seconds=SECONDS))
    assert raised.value.exit_code == 3


def linked_log(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    (work / "log").unlink()
    (work / "log").symlink_to("/dev/zero")
    (work / "messages").symlink_to("/dev/zero")
    time.sleep(1)
    os._exit(7)


def test_logs_and_messages_are_plain_files_too() -> None:
    heard: list[Any] = []
    with pytest.raises(sandbox.ChildDied) as raised:
        sandbox.call("tests.security.test_left_behind:linked_log", {}, listen=heard.append)
    assert raised.value.log == "" and heard == []


def arrays_of_many_kinds(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    made = {"f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "t": np.array(["ä", "bc"]), "e": np.empty((0, 3))}
    return {}, {**made, "s": np.float32(3), "b": np.array([True]), "c": np.array([1j])}


def test_arrays_come_back_as_they_were() -> None:
    _, found = sandbox.call("tests.security.test_left_behind:arrays_of_many_kinds", {})
    _, sent = arrays_of_many_kinds({}, {}, Path())
    assert set(found) == set(sent)
    for name, array in sent.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype and found[name].shape == np.shape(array)
        assert found[name].flags.writeable


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(100_000, np.uint8))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        at = archive.start_dir
    entry = bytes(whole[at : whole.index(b"PK\x05\x06")])
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 50, 50, 50 * len(entry), at, 0)
    (tmp_path / "b.npz").write_bytes(whole[:at] + 50 * entry + end)
    with pytest.raises(DeviceError, match="two members"):
        left_behind.arrays(tmp_path, "b.npz")


def test_the_emulators_report(tmp_path: Path) -> None:
    for name, write in {
        "link": lambda path: path.symlink_to("/dev/zero"),
        "fifo": lambda path: os.mkfifo(path),
        "sparse": lambda path: (path.touch(), os.truncate(path, 4 << 30)),
        "odd": lambda path: path.write_text("phase\nuse 1 2\nend\n"),
    }.items():
        write(tmp_path / name)
        with pytest.raises(DeviceError):
            report.read(tmp_path / name)


def test_what_onnx2tf_leaves(tmp_path: Path) -> None:
    job = onnx2tf.Job("x.onnx", b"", [], ["y"])
    place = tmp_path / "0"
    for text in ('{"error": 3, "order": 1', "[1]", '{"order": null}', '{"order": null, "sets": [{}]}', "[" * 100_000):
        (place / "out").mkdir(parents=True, exist_ok=True)
        (place / "out" / "model_float32.tflite").touch()
        (place / "report.json").write_text(text)
        assert isinstance(onnx2tf._result(place, job, "ended"), ModelError)
    (place / "report.json").write_text('{"order": [0], "sets": []}')
    (place / "out" / "model_float32.tflite").unlink()
    (place / "out" / "model_float32.tflite").symlink_to("/dev/zero")
    assert isinstance(onnx2tf._result(place, job, "ended"), ModelError)


class Flood(socketserver.BaseRequestHandler):
    """An adb server that says yes to everything, greets, and then sends without end."""

    mode = "shell"

    def handle(self) -> None:
        text = ""
        while not text.startswith(("shell", "sync")):
            text = self.request.recv(int(self.request.recv(4), 16)).decode()
            self.request.sendall(b"OKAY")
        greeting = b"edgekit /data/local/tmp/edgekit.abcdef aarch64\n"
        try:
            if "mktemp" in text:
                self.request.sendall(struct.pack("<BI", 1, len(greeting)) + greeting)
            while "true; sleep 5" not in text:
                piece = bytes(1 << 16)
                head = struct.pack("<BI", 1, len(piece)) if text.startswith("shell") else b"DATA\0\0\1\0"
                self.request.sendall(head + piece)
            time.sleep(5)
        except OSError:
            pass


@pytest.fixture
def flooding_phone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Flood)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr("edgekit.transport.adb.CONNECT_SECONDS", 2.0)
    yield
    server.shutdown()
    server.server_close()


def test_a_phone_that_floods(flooding_phone: None) -> None:
    begun = time.monotonic()
    with AdbConnection() as phone:
        with pytest.raises(DeviceError, match="does not answer in 1 s"):
            phone.run("true; sleep 5", seconds=1)
        with pytest.raises(DeviceError, match="sent over 4194304 bytes, more than it was asked for"):
            phone.run("true", seconds=60)
        with pytest.raises(DeviceError, match="more than it was asked for"):
            phone.get({"out.bin": 1 << 20})
    assert time.monotonic() - begun < 20


def _script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def flooding_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh client in the place of the system's, whose board sends without end whatever it is asked."""
    greeting = "echo 'edgekit /tmp/edgekit.abcdef aarch64'; sleep 0.5; exec yes >&2"
    flood = 'echo; echo "edgekit\'s output begins"; cat >/dev/null & exec yes'
    _script(tmp_path / "ssh", f'case "$*" in *mktemp*) {greeting} ;; *) {flood} ;; esac\n')

    class Tool:
        argv = (str(tmp_path / "ssh"),)

        def find(self) -> Tool:
            return self

    monkeypatch.setattr("edgekit.tools.toolchain.load", lambda name: Tool())
    return tmp_path


def test_a_board_that_floods(flooding_board: Path) -> None:
    with SshConnection(Address("", "board", None)) as board:
        with pytest.raises(DeviceError, match="more than it was asked for"):
            board.run("true", seconds=20)
        time.sleep(1)
        assert (board._local / "log").stat().st_size <= 4 << 20


def test_a_board_that_greets_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(tmp_path / "ssh", "exec yes\n")

    class Tool:
        argv = (str(tmp_path / "ssh"),)

        def find(self) -> Tool:
            return self

    monkeypatch.setattr("edgekit.tools.toolchain.load", lambda name: Tool())
    begun = time.monotonic()
    with pytest.raises(DeviceError, match=r"no usable shell|cannot connect"):
        SshConnection(Address("", "board", None)).open()
    assert time.monotonic() - begun < 20


def test_exchange_ends_what_takes_too_long() -> None:
    pipe = subprocess.PIPE
    child = subprocess.Popen(["sleep", "60"], stdin=pipe, stdout=pipe, stderr=pipe)
    with pytest.raises(subprocess.TimeoutExpired):
        pipes.exchange(child, b"x" * (1 << 20), 1.0, 100)
    assert child.poll() is not None
    child = subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, stderr=pipe)
    data = os.urandom(3 << 20)
    assert pipes.exchange(child, data, 20.0, 4 << 20) == (data, b"")


def test_results_that_are_larger_than_the_networks_say_so(tmp_path: Path) -> None:
    (tmp_path / "out.bin").write_bytes(bytes(32))
    with pytest.raises(ModelError, match="larger than the model says: 32 bytes, not 16"):
        process.results(tmp_path, Bundle.graph, 1)
    with pytest.raises(CheckFailed):
        left_behind.read(tmp_path, "out.bin", 16, CheckFailed)
