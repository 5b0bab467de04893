"""The ssh runner against a real ssh server with emulated 64-bit Arm behind it, and every way it can fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundles import bundle_of, graph_of, samples_for
from compiled_bundles import compiled_bundle
from ssh_board import StandIn, stand_in

from edgekit import runners
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError, UsageError
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions
from edgekit.transport.ssh import Address

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def shared_board() -> Iterator[StandIn]:
    with stand_in() as board:
        yield board


@pytest.fixture
def board(shared_board: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", shared_board.options)
    shared_board.set()
    yield shared_board
    assert shared_board.left_behind() == []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(graph_of("mlperf_tiny/kws_int8.tflite"), "rpi4", tmp_path_factory.mktemp("bundles") / "kws")


def run(board: StandIn, bundle: Bundle, options: RunOptions = RunOptions(), count: int = 2) -> runners.Run:
    runner = runners.get(f"ssh:{board.address.replace('board@', '')}")
    return runners.once(runner, bundle, samples_for(bundle.graph, count), options)


def test_outputs_times_and_operators_come_back(board: StandIn, bundle: Bundle) -> None:
    found = run(board, bundle, RunOptions(repeat=3, warmup=1, profile=True))
    (y,) = found.outputs
    (expected,) = reference_outputs(bundle.model, samples_for(bundle.graph, 2), optimized=True)
    assert y.shape == (2, 1, 12) and y.dtype == np.int8
    assert np.abs(y.astype(int) - expected).max() <= 3
    assert len(found.trace.latency_ms) == 3 and min(found.trace.latency_ms) > 0
    halves = [2e3 * (row.latency_ms or 0) for row in found.trace.operators]  # means of two, in microseconds
    assert any(1e-3 < value % 1 < 1 - 1e-3 for value in halves)  # the library there reads the runner's clock too
    assert found.trace.source == "device" and found.trace.runtime == "litert 2.3.0"
    assert {row.index for row in found.trace.operators} >= set(range(9))
    assert "Cortex-A72" in found.conditions["machine"]


def test_a_system_that_cannot_load_litert_uses_python(board: StandIn, bundle: Bundle, tmp_path: Path) -> None:
    root = Path((board.folder / "settings").read_text().split('ROOT="')[1].split('"')[0])
    shutil.copytree(root, tmp_path / "root")
    (tmp_path / "root" / "lib" / "libstdc++.so.6").unlink()
    board.set(ROOT=str(tmp_path / "root"))
    found = run(board, bundle, RunOptions(repeat=2))
    (expected,) = reference_outputs(bundle.model, samples_for(bundle.graph, 2), optimized=True)
    np.testing.assert_array_equal(found.outputs[0], expected)
    assert len(found.trace.latency_ms) == 2


def test_neither_runner_works_is_one_line(board: StandIn, bundle: Bundle, tmp_path: Path) -> None:
    apart = Bundle(tmp_path / "b", bundle.manifest)
    shutil.copytree(bundle.path, apart.path)
    (apart.artifact / "edgekit-run").write_bytes(b"\x7fELF nonsense")
    (apart.artifact / "run.py").write_text("raise SystemExit('run.py: no runtime')\n")
    with pytest.raises(DeviceError, match="can run neither edgekit-run") as caught:
        run(board, apart)
    assert "\n" not in caught.value.message


def test_a_compiled_network_needs_nothing_but_the_runner(board: StandIn, tmp_path: Path) -> None:
    compiled = compiled_bundle(tmp_path / "b", "rpi4")
    found = run(board, compiled, RunOptions(repeat=3, threads=2, profile=True))
    for got, expected in zip(
        found.outputs, reference_outputs(compiled.model, samples_for(compiled.graph, 2)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    assert [row.index for row in found.trace.operators] == [None, 0, 1]
    assert found.conditions["threads"] == 1 and len(found.trace.latency_ms) == 3
    (compiled.artifact / "edgekit-run").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(DeviceError, match="cannot run edgekit-run"):  # and no Python is tried
        run(board, compiled)


@pytest.mark.skipif("EDGEKIT_ARM64_BUSYBOX" in os.environ, reason="its uname says the truth")
def test_the_wrong_processor(board: StandIn, bundle: Bundle) -> None:
    board.set(MACHINE="armv7l")
    with pytest.raises(DeviceError, match="armv7l, but the bundle is for aarch64"):
        run(board, bundle)


def test_a_full_disk(board: StandIn, bundle: Bundle, tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path]).returncode:
        pytest.skip("only root can make a small disk")
    try:
        board.set(TMPDIR=str(tmp_path))
        with pytest.raises(DeviceError, match="has no space"):
            run(board, bundle)
        for _ in range(50):
            if not os.listdir(tmp_path):
                break
            time.sleep(0.1)
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_temporary_folder_without_programs(board: StandIn, bundle: Bundle, tmp_path: Path) -> None:
    """Mounted noexec, as hardened systems do: the programs go where they may be started."""
    home = board.folder / "home"
    home.mkdir()
    noexec = f'mount -t tmpfs -o noexec none "{tmp_path}"; mount -t tmpfs -o noexec none /var/tmp'
    board.set(TMPDIR=str(tmp_path), first=noexec, HOME_THERE=str(home))
    found = run(board, bundle, RunOptions(repeat=1, profile=True))
    assert found.trace.runtime.startswith("litert") and found.trace.operators  # which run.py does not observe
    assert os.listdir(home) == []


@pytest.mark.parametrize("said", ["Welcome to the board", "no end of line\\c", "edgekit /tmp/edgekit.x nonsense, 2"])
def test_a_start_up_file_that_talks(board: StandIn, bundle: Bundle, said: str) -> None:
    board.set(first=f"echo '{said}'")
    (y,) = run(board, bundle).outputs
    assert y.shape == (2, 1, 12)


@pytest.mark.parametrize("name", ["a b", "long" * 30])
def test_temporary_folders_with_spaces_and_long_names(
    board: StandIn, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A socket's path has at most 108 bytes."""
    there, here = board.tmp / f"{name} 'quoted'", Path(tempfile.mkdtemp(prefix=name))
    there.mkdir()
    try:
        board.set(TMPDIR=str(there))
        monkeypatch.setattr(tempfile, "tempdir", str(here))
        shutil.copy(board.folder / "client_key", here / "client key")
        options = board.options.replace(str(board.folder / "client_key"), "'" + str(here / "client key") + "'")
        monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", options)
        run(board, bundle)
        for _ in range(50):
            if not os.listdir(there):
                break
            time.sleep(0.1)
        assert os.listdir(there) == [] and os.listdir(here) == ["client key"]
    finally:
        shutil.rmtree(there)
        shutil.rmtree(here)


@pytest.mark.parametrize("options", ["IdentityFile='/my keys/pi", 'Port="22'])
def test_a_quote_that_is_not_closed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", options)
    with pytest.raises(UsageError, match="EDGEKIT_SSH_OPTIONS cannot be read") as caught:
        runners.once(runners.get("ssh://127.0.0.1:1"), bundle, samples_for(bundle.graph, 1), RunOptions())
    assert "close its quotes" in caught.value.hint


def test_no_place_to_write(board: StandIn, bundle: Bundle) -> None:
    board.set(TMPDIR="/nonexistent")
    with pytest.raises(DeviceError, match=r"no usable shell.*mktemp"):
        run(board, bundle)


def test_a_connection_that_breaks_leaves_nothing(board: StandIn, bundle: Bundle) -> None:
    def kill_sessions_once_it_runs() -> None:
        for _ in range(200):
            if any((board.tmp / name / "pid").exists() for name in os.listdir(board.tmp)):
                break
            time.sleep(0.05)
        for pid in board.sessions():
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_sessions_once_it_runs)
    killer.start()
    with pytest.raises(DeviceError, match="broke"):
        run(board, bundle, RunOptions(repeat=100000))
    killer.join()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("UserKnownHostsFile=/dev/null StrictHostKeyChecking=yes", "host key of .* is not known"),
        ("IdentityFile=/nonexistent IdentitiesOnly=yes IdentityAgent=none", "accepts none of your keys"),
        ("NoSuchOption=1", "does not know an option"),
    ],
)
def test_refusals(board: StandIn, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, options: str, what: str) -> None:
    known = "" if "KnownHosts" in options else f" UserKnownHostsFile={board.folder / 'known_hosts'}"
    monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", options + known)
    with pytest.raises(DeviceError, match=what) as caught:
        run(board, bundle)
    assert caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("address", "what"),
    [("//127.0.0.1:1", "^127.0.0.1:1 refuses connections"), ("//no-such-host.invalid", "there is no host no-such")],
)
def test_unreachable(bundle: Bundle, address: str, what: str) -> None:
    if not shutil.which("ssh"):
        pytest.skip("openssh-client is not installed")
    with pytest.raises(DeviceError, match=what):
        runners.once(runners.get(f"ssh:{address}"), bundle, samples_for(bundle.graph, 1), RunOptions())


@pytest.mark.parametrize("text", ["", "//", "host", "//-oProxyCommand=x", "//a b", "//h:0", "//h:99999", "//u@h/path"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="is not the address"):
        Address.parse(text)


def test_addresses() -> None:
    assert Address.parse("//pi@raspberrypi.local:2222") == Address("pi", "raspberrypi.local", 2222)
    assert Address.parse("//board") == Address("", "board", None)
    assert Address.parse("//[::1]:22").host == "::1"
    assert [Address.parse(text).shown for text in ("//pi@board:22", "//[::1]:22", "//[::1]")] == [
        "board:22",
        "[::1]:22",
        "::1",
    ]
    assert Address.parse("//board:22").known_host == "[board]:22"  # as known_hosts has it
    assert Address.parse("//pi@h:22").arguments() == ["-l", "pi", "-p", "22", "h"]
