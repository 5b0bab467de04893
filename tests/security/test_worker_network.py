"""Workers that train together listen where nobody else reaches them."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgekit import sandbox
from edgekit.errors import EdgekitError
from edgekit.sandbox import loopback
from edgekit.sandbox.loopback import Loopback
from edgekit.training.workers import processes
from tests.installed import needed
from tests.ssh_server import ssh_server
from tests.training.process import below, gone, start, until
from tests.training.sockets import listening, listening_inside, network

TASKS = "tests.sandbox.tasks"
WITHOUT_NETWORKS = str(Path(__file__).with_name("without_networks.py"))
ROOT = str(Path(__file__).parents[2])
SHELL = 'export TMPDIR="{tmp}"; exec sh -c "$SSH_ORIGINAL_COMMAND"'


def own_address() -> str:
    """An address of this machine that is not its loopback interface's; "127.0.0.1" where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@contextmanager
def training(folder: Path, workers: int | str) -> Iterator[subprocess.Popen[str]]:
    running = start(folder, "out.tflite", workers=workers, epochs=4000)
    try:
        until(lambda: list(folder.glob("cache/training/*/state.npz")) or running.poll() is not None, 240)
        assert running.poll() is None, running.communicate()[0]
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=100)


def nobody_reaches(pids: Callable[[], list[int]]) -> None:
    """All of these processes listen on nothing in this network; those in another one do, and are not reached."""
    assert listening(pids()) == set()
    servers = {
        pid: found for pid in pids() if network(pid) != network(os.getpid()) and (found := listening_inside(pid))
    }
    ports = {port for found in servers.values() for _, port in found}
    assert len(servers) >= 2 and ports == {processes.FIRST_PORT, processes.FIRST_PORT + 1}
    for address in {"127.0.0.1", own_address()}:
        for port in ports:
            with socket.socket() as probe:
                assert probe.connect_ex((address, port)) != 0, (address, port)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_workers_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("tensorflow", "train")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    with training(tmp_path, 2) as running:
        nobody_reaches(lambda: [running.pid, *below(running.pid)])


@pytest.mark.slow
@pytest.mark.tensorflow
def test_workers_on_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("tensorflow", "train")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    with ssh_server(SHELL) as server:
        assert server.server
        monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", server.options)
        monkeypatch.setenv("EDGEKIT_WORKER_PYTHON", sys.executable)
        top = server.server.pid
        with training(tmp_path, f"127.0.0.1:{server.port},localhost:{server.port}") as running:
            nobody_reaches(lambda: [running.pid, *below(running.pid), *below(top)])
            sockets = [path for path in server.tmp.rglob("*") if path.is_socket()]
            assert len(sockets) == 4 and all(path.stat().st_mode & 0o77 == 0 for path in sockets)


@contextmanager
def server(port: int, lane: int, network: Loopback) -> Iterator[Future[Any]]:
    """A child that waits for a client, on all interfaces of a network."""
    listens = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(
            sandbox.call, f"{TASKS}:serve", {"port": port}, lane=lane, network=network,
            limits=sandbox.Limits(seconds=30), listen=lambda _: listens.set(),
        )  # fmt: skip
        assert listens.wait(30)
        yield told


def test_children_share_a_network_that_leads_nowhere_else() -> None:
    with Loopback() as network, Loopback() as other, server(7000, 1, network) as told:
        visit = f"{TASKS}:visit", {"port": 7000}
        assert socket.socket().connect_ex(("127.0.0.1", 7000)) == errno.ECONNREFUSED
        for options in ({}, {"network": other}):
            with pytest.raises(EdgekitError, match=r"Operation not permitted|Connection refused"):
                sandbox.call(*visit, **options)
        found, _ = sandbox.call(*visit, network=network)
        assert found == {"said": "hello", "refused": ["AF_UNIX", "AF_NETLINK", "AF_PACKET"]}
        assert told.result()[0] == {"heard": "good day"}


def test_a_child_in_it_does_not_reach_this_machine() -> None:
    with socket.create_server(("", 0)) as here, Loopback() as network:
        port = here.getsockname()[1]
        with pytest.raises(EdgekitError, match="Connection refused"):
            sandbox.call(f"{TASKS}:visit", {"port": port}, network=network)


def test_doors_lead_from_one_network_into_another(tmp_path: Path) -> None:
    door = str(tmp_path / "door")
    with (
        Loopback(inward={door: 7001}) as one,
        Loopback(outward={7001: door}) as other,
        server(7001, 1, one) as told,
    ):
        assert os.stat(door).st_mode & 0o777 == 0o600
        found, _ = sandbox.call(f"{TASKS}:visit", {"port": 7001}, network=other)
        assert found["said"] == "hello" and told.result()[0] == {"heard": "good day"}
        with socket.socket(socket.AF_UNIX) as late:  # nobody listens inside any more
            late.connect(door)
            assert late.recv(100) == loopback.GREETING and late.recv(100) == b""
        with pytest.raises(EdgekitError):
            sandbox.call(f"{TASKS}:visit", {"port": 7002}, network=other)


def test_much_passes_doors_unchanged_both_ways_at_once(tmp_path: Path) -> None:
    """Through a door into a network, and from there through another one, to a server that sends all of it back."""
    first, last, data = str(tmp_path / "first"), str(tmp_path / "last"), os.urandom(8 << 20)
    with (
        socket.socket(socket.AF_UNIX) as server,
        Loopback({first: 7003}, {7003: last}),
        ThreadPoolExecutor(2) as pool,
        socket.socket(socket.AF_UNIX) as client,
    ):
        server.bind(last)
        server.listen()
        pool.submit(echo, server)
        client.connect(first)
        pool.submit(client.sendall, data)
        got = bytearray()
        while len(got) < len(data) + 1:
            got += client.recv(1 << 16)
        assert got == loopback.GREETING + data


def echo(server: socket.socket) -> None:
    client, _ = server.accept()
    with client:
        client.sendall(loopback.GREETING)
        while data := client.recv(1 << 16):
            client.sendall(data)


def test_the_keeper_ends_with_whoever_started_it(tmp_path: Path) -> None:
    program = (
        "import os, signal; from edgekit.sandbox.loopback import Loopback\n"
        "print(Loopback().pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    until(lambda: gone(int(done.stdout)), 10)


ASK = """
from edgekit import sandbox
from edgekit.errors import ToolMissing
from edgekit.training.workers import processes
for count in (1, 2):
    try:
        with processes.team(count) as team:
            print([(worker._network is not None, worker._limits.network) for worker in team])
    except ToolMissing as error:
        print(error.message, "|", error.hint)
"""


@pytest.mark.parametrize("anyway", [False, True])
def test_without_networks_workers_listen_nowhere_unless_that_is_asked_for(anyway: bool) -> None:
    env = {"PATH": os.defpath, **({sandbox.WITHOUT: "1"} if anyway else {})}
    command = [sys.executable, WITHOUT_NETWORKS, "-c", ASK]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if "no user namespaces here" in done.stderr:
        pytest.skip("this kernel has no user namespaces")
    alone, together = done.stdout.splitlines()
    assert alone == "[(False, False)]"
    if anyway:
        assert together == "[(False, True), (False, True)]"
    else:
        assert together.startswith("this machine gives workers no network of their own: the kernel does not allow it |")
        assert "--workers 1" in together
