"""Training on hosts that ssh reaches: real ssh servers on loopback, real workers, and every way they can fail."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit.data.dataset import Dataset
from edgekit.errors import DeviceError, EdgekitError, ToolMissing
from edgekit.passes import PassContext
from edgekit.passes.finetune import Finetune
from edgekit.training.workers import hosts, node
from edgekit.training.workers.frames import Channel, Frame
from edgekit.transport.ssh import Address
from tests.installed import needed
from tests.networks.small import classifier, digits
from tests.ssh_server import SshServer, free_port, script, ssh_server
from tests.training.process import below, gone, start, until

needed("tensorflow", "train")
WITHOUT_NETWORKS = Path(__file__).parents[2] / "security" / "without_networks.py"
SHELL = 'export TMPDIR="{tmp}"; exec sh -c "$SSH_ORIGINAL_COMMAND"'


@pytest.fixture(scope="module")
def shared_server() -> Iterator[SshServer]:
    with ssh_server(SHELL) as server:
        yield server


@pytest.fixture
def server(shared_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server that stands for two hosts: 127.0.0.1 and localhost. Nothing may be left on it."""
    monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", shared_server.options)
    monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", sys.executable)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    yield shared_server
    assert shared_server.left_behind() == []
    assert shared_server.server is not None
    until(lambda: below(shared_server.server.pid) == [], 10)  # type: ignore[union-attr]


def two(server: SshServer) -> list[Address]:
    return [Address("", "127.0.0.1", server.port), Address("", "localhost", server.port)]


def spec(server: SshServer, count: int = 2) -> str:
    return ",".join(f"{address.host}:{address.port}" for address in two(server)[:count])


def refused(addresses: list[Address]) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught, hosts.team(addresses):
        pass
    assert caught.value.hint and "\n" not in caught.value.message
    return caught.value


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_hosts_do_what_one_process_does(server: SshServer, tmp_path: Path) -> None:
    graph, (x, y) = classifier(tmp_path, 300), digits(200, 1)
    data = Dataset([x.reshape(-1, 1, 28, 28, 1)], y, source="digits")
    params = {"epochs": 1, "batch": 60, "learning_rate": 1e-3, "loss": "labels"}
    found: list[tuple[Any, Any]] = []
    for workers in ("1", spec(server)):
        context = PassContext(data=data, params=params, workers=workers)
        passed = Finetune().apply(graph, context)
        found.append((passed.graph, passed.report.json()))
    (one, alone), (both, together) = found
    assert together["workers"] == 2
    for key in ("loss", "validation_loss", "accuracy"):
        assert alone["history"][1][key] == pytest.approx(together["history"][1][key], rel=1e-5)
    changed = 0
    for before, mine, theirs in zip(graph.tensors, one.tensors, both.tensors, strict=True):
        if mine.data is not None and mine.dtype == "float32":
            np.testing.assert_allclose(mine.array(), theirs.array(), atol=1e-6)
            changed += not np.array_equal(before.array(), theirs.array())
    assert changed


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_killed_worker_is_named_and_its_training_goes_on_elsewhere(server: SshServer, tmp_path: Path) -> None:
    assert server.server
    running = start(tmp_path, "out.tflite", workers=spec(server))
    until(lambda: list(tmp_path.glob("cache/training/*/state.npz")), 180)  # it came from the host
    family = below(server.server.pid)
    nodes = [pid for pid in family if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{hosts.NODE}\0".encode())]
    tasks = [pid for pid in below(nodes[-1]) if b"edgekit.sandbox.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    (child,) = [pid for pid in tasks if not below(pid)]
    os.kill(child, signal.SIGKILL)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == DeviceError.exit_code, said
    assert f":{server.port}) was killed" in said and "of 2 (" in said and "the others were ended" in said
    assert "goes on from the last checkpoint" in said
    until(lambda: all(map(gone, family)), 20)
    again = start(tmp_path, "out.tflite", workers=1)
    said, _ = again.communicate(timeout=180)
    assert again.returncode == 0, said
    assert "resumes after step" in said


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("how", ["broken connection", "ctrl-c", "kill -9"])
def test_however_it_ends_nothing_is_left_but_the_state(how: str, server: SshServer, tmp_path: Path) -> None:
    running = start(tmp_path, "out.tflite", workers=spec(server, 1), epochs=4000)
    until(lambda: list(tmp_path.glob("cache/training/*/state.npz")), 180)
    if how == "broken connection":
        for pid in server.sessions():
            os.kill(pid, signal.SIGKILL)
    else:
        running.send_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
    said, _ = running.communicate(timeout=150)  # the longest that anybody waits for a sign of life is 90 s
    if how == "broken connection":
        assert running.returncode == DeviceError.exit_code, said
        assert f"the connection to 127.0.0.1:{server.port} broke" in said
    else:
        assert running.returncode == (-signal.SIGINT if how == "ctrl-c" else -signal.SIGKILL), said
    assert list(tmp_path.glob("cache/training/*/state.npz"))


def test_a_host_that_is_not_there(server: SshServer) -> None:
    address = Address("", "localhost", free_port())
    error = refused([two(server)[0], address])
    assert isinstance(error, DeviceError) and f"localhost:{address.port} refuses connections" in error.message


def test_a_host_without_that_python(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", "/no such/python")
    error = refused(two(server))
    assert isinstance(error, ToolMissing) and "cannot start '/no such/python'" in error.message
    assert "EDGEKIT_WORKER_PYTHON" in error.hint


def test_a_host_without_edgekit(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "python", f'exec {sys.executable} -I -S "$@"')
    monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", str(tmp_path / "python"))
    error = refused(two(server)[:1])
    assert isinstance(error, ToolMissing) and "No module named" in error.message


def test_a_host_with_another_edgekit(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(Path(edgekit.__file__).parent, tmp_path / "edgekit", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "edgekit" / "training" / "loop.py").open("a") as file:
        file.write("# changed\n")
    script(tmp_path / "python", f'PYTHONPATH={tmp_path} exec {sys.executable} "$@"')
    monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", str(tmp_path / "python"))
    error = refused(two(server)[:1])
    assert isinstance(error, ToolMissing) and "differs from the one" in error.message


def test_workers_reach_one_another_through_this_machine_only(server: SshServer) -> None:
    with hosts.team(two(server)) as team:
        assert [host.address for host in team] == ["127.0.0.1:10000", "127.0.0.1:10001"]
        team[1].door.unlink()
        with pytest.raises(DeviceError, match=r"cannot reach .* through ssh: the connection was closed"):
            team[0].reach(team)
        team[1].reach(team)


@pytest.mark.parametrize(
    ("allowed", "what"),
    [("no", "does not forward sockets"), ("local", "does not forward sockets"), ("remote", "through ssh: the connec")],
)
def test_a_server_that_forwards_no_sockets(
    allowed: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(SHELL, f"AllowStreamLocalForwarding {allowed}") as server:
        monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", server.options)
        monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", sys.executable)
        error = refused(two(server))
        assert isinstance(error, DeviceError) and what in error.message and "AllowStreamLocalForwarding" in error.hint
        with hosts.team(two(server)[:1]):  # one worker needs none
            pass
        assert server.left_behind() == []


def test_a_host_that_gives_no_network_of_its_own(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "python", f'exec {sys.executable} {WITHOUT_NETWORKS} "$@"')
    monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", str(tmp_path / "python"))
    error = refused(two(server))
    assert isinstance(error, ToolMissing) and f":{server.port}: this machine gives workers no network" in error.message


def test_doors_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "1"))
        found = node.unreachable({"1": str(tmp_path / "1"), "2": str(tmp_path / "2")})
    assert found == [
        {"worker": "1", "wrong": "Connection refused"},
        {"worker": "2", "wrong": "No such file or directory"},
    ]
    assert node.unreachable({}) == []


def test_a_folder_with_a_long_name_is_told(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", hosts.NODE], cwd=folder_of(tmp_path, 100), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdin and worker.stdout
    channel = Channel(worker.stdout.fileno(), worker.stdin.fileno())
    assert heard(channel).kind == "hello"
    channel.send("join", {"index": 0, "count": 2})
    assert "temporary folder is too long" in heard(channel).value["message"]
    worker.stdin.close()
    assert worker.wait(20) == 0
    worker.stdout.close()


def folder_of(tmp_path: Path, length: int) -> Path:
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    return folder


def heard(channel: Channel) -> Frame:
    while True:
        frame = channel.receive(30)
        assert frame is not None
        if frame.kind != "alive":
            return frame


@pytest.mark.parametrize("end", ["input", "SIGTERM", "nonsense"])
def test_a_worker_ends_with_whoever_started_it(end: str, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", hosts.NODE], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdin and worker.stdout
    assert any(b'"hello"' in line for line in worker.stdout)
    assert list(tmp_path.iterdir())
    if end == "input":
        worker.stdin.close()
    elif end == "SIGTERM":
        worker.terminate()
    else:
        worker.stdin.write(b"edgekit-worker nonsense\n")
        worker.stdin.flush()
    assert worker.wait(20) == 0
    assert list(tmp_path.iterdir()) == []
    worker.stdout.close()


def test_a_worker_that_hears_nothing_ends(tmp_path: Path) -> None:
    program = (
        "import sys; from edgekit.training.workers import node; node.SILENCE = 1.0; sys.argv = ['node']; node.main()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    began = time.monotonic()
    assert worker.wait(30) == 0
    assert time.monotonic() - began > 1 and list(tmp_path.iterdir()) == []
