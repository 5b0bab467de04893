"""The adb runner, end to end on a stand-in for a phone (:mod:`adb_phone`): what it brings back, and how it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit import bundle
from edgekit.api.compile import compile
from edgekit.errors import DeviceError, UsageError
from edgekit.graph import tflite
from edgekit.metrics.parity import compare
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.transport import adb
from tests.e2e.command import EDGEKIT, edgekit, refused
from tests.networks.small import convolutional
from tests.runners.adb_phone import MODEL, SERIAL, Phone, free_port, phone

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    tflite.write(convolutional(), folder / "net.tflite")
    return compile(folder / "net.tflite", targets=["android-arm64"], out=folder)[0].path


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    with phone(tmp_path) as found:
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)
        yield found


def nothing_is_left(device: Phone) -> bool:
    """The device's own keeper may take a moment."""
    end = time.monotonic() + 10
    while device.left and time.monotonic() < end:
        time.sleep(0.05)
    return not device.left


def run(made: Path, on: str = f"adb:{SERIAL}", **options: int) -> object:
    found = bundle.load(made)
    inputs, _ = found.golden()
    return once(get_runner(on), found, inputs, RunOptions(**options))


def test_outputs_times_and_nothing_left(made: Path, device: Phone) -> None:
    found = bundle.load(made)
    inputs, reference = found.golden()
    result = once(get_runner(f"adb:{SERIAL}"), found, inputs, RunOptions(repeat=3, profile=True))
    assert compare(found.graph, reference, result.outputs).ok
    assert len(result.trace.latency_ms) == 3 and all(value > 0 for value in result.trace.latency_ms)
    assert result.trace.source == "device" and result.trace.runtime.startswith("tvm")
    assert {0, 1} <= {row.index for row in result.trace.operators}
    assert result.conditions["device"] == MODEL and result.conditions["threads"] == 1
    assert nothing_is_left(device)


def test_the_verbs(made: Path, device: Phone) -> None:
    document = edgekit("verify", made, "--on", "adb", "--json", env=device.env).json
    assert document["ok"] and document["parity"]["on"] == "adb"
    profile = edgekit("profile", made, "--on", f"adb:{SERIAL}", "--json", env=device.env).json
    assert profile["source"] == "device" and profile["target"] == "android-arm64"
    assert nothing_is_left(device)


REFUSALS = [
    (
        "device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set",
        "does not trust this computer",
        "debugging",
    ),
    ("device offline", "is offline", "adb reconnect"),
    ("more than one device/emulator", "several devices are connected", "--on adb:SERIAL"),
    ("no devices/emulators found", "no Android device is connected", "docs/phones.md"),
    ("strange days", "adb refuses", ""),
]


@pytest.mark.parametrize(("said", "message", "hint"), REFUSALS, ids=[r[1] for r in REFUSALS])
def test_what_the_server_refuses_is_one_line(made: Path, device: Phone, said: str, message: str, hint: str) -> None:
    device.refusal = said
    refused(edgekit("verify", made, "--on", "adb", env=device.env), 6, message, hint)


def test_another_serial(made: Path, device: Phone) -> None:
    refused(edgekit("run", made, "--on", "adb:192.168.1.5:5555", env=device.env), 6, "192.168.1.5:5555", "adb devices")


def test_no_server(made: Path) -> None:
    env = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "ADB_SERVER_SOCKET": ""}
    refused(edgekit("verify", made, "--on", "adb", env=env), 6, "no adb server answers", "adb start-server")


@pytest.fixture
def own_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Google's adb server on a port of its own; skips where adb is not installed."""
    if not shutil.which("adb"):
        pytest.skip("adb is not installed")
    env = {"ANDROID_ADB_SERVER_PORT": str(free_port())}
    whole = {k: v for k, v in os.environ.items() if k != "ADB_SERVER_SOCKET"} | env
    subprocess.run(["adb", "start-server"], env=whole, check=True, capture_output=True, timeout=60)
    try:
        yield {**env, "ADB_SERVER_SOCKET": ""}
    finally:
        subprocess.run(["adb", "kill-server"], env=whole, check=False, capture_output=True, timeout=60)


def test_googles_server_without_the_device(made: Path, own_port: dict[str, str]) -> None:
    refused(edgekit("verify", made, "--on", "adb:nobody-1", env=own_port), 6, "'nobody-1' is not connected")


def test_googles_client_takes_the_stand_in_for_a_phone(device: Phone, tmp_path: Path) -> None:
    """So what edgekit says to the stand-in is what a phone hears."""
    if not shutil.which("adb"):
        pytest.skip("adb is not installed")
    env = {k: v for k, v in os.environ.items() if k != "ADB_SERVER_SOCKET"}
    client = ["adb", "-P", str(device.server_address[1]), "-s", SERIAL]

    def adb_says(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*client, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)

    done = adb_says("shell", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)
    assert adb_says("push", str(tmp_path / "file"), "/data/local/tmp/there").returncode == 0
    assert (device.tmp / "there").read_bytes() == (tmp_path / "file").read_bytes()
    assert adb_says("pull", "/data/local/tmp/there", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize(
    "drop", ["mktemp", "SEND", "in.bin", "exec", "RECV", "getprop"], ids=lambda d: f"when it is asked for {d}"
)
def test_a_connection_that_breaks_is_one_line_and_leaves_nothing(made: Path, device: Phone, drop: str) -> None:
    device.drop = drop
    with pytest.raises(DeviceError, match=r"the connection to device .* broke") as caught:
        run(made)
    assert caught.value.hint
    assert nothing_is_left(device)


def test_a_client_that_is_killed_leaves_nothing(made: Path, device: Phone) -> None:
    command = [str(EDGEKIT), "profile", str(made), "--on", "adb", "--repeat", "100000"]
    client = subprocess.Popen(command, env={**os.environ, **device.env})
    end = time.monotonic() + 30
    while not any("exec" in c and "edgekit-run" in c for c in device.commands) and time.monotonic() < end:
        time.sleep(0.05)
    assert device.left and client.poll() is None
    client.kill()
    client.wait()
    assert nothing_is_left(device)


def test_a_full_device(made: Path, device: Phone) -> None:
    device.full = True
    with pytest.raises(DeviceError, match=r"cannot copy edgekit-run to .*No space left") as caught:
        run(made)
    assert caught.value.hint == "free some space on it" and nothing_is_left(device)


def test_no_place_for_a_folder(made: Path, device: Phone) -> None:
    device.tmp.rmdir()
    with pytest.raises(DeviceError, match=r"gives no folder in /data/local/tmp: .*No such file"):
        run(made)


def test_a_talkative_shell(made: Path, device: Phone) -> None:
    device.greets = "WARNING: linker: something is odd"
    run(made)
    assert nothing_is_left(device)


def test_a_device_of_another_architecture(made: Path, device: Phone) -> None:
    device.is_a("armv8l")
    with pytest.raises(DeviceError, match="is armv8l, but the bundle is for aarch64"):
        run(made)
    assert nothing_is_left(device)


def test_no_samples_and_wrong_programs(made: Path, device: Phone, tmp_path: Path) -> None:
    found = bundle.load(made)
    empty = [np.zeros((0, *t.shape), t.dtype) for t in found.graph.inputs]
    with pytest.raises(DeviceError, match="no samples"):
        once(get_runner("adb"), found, empty, RunOptions())
    other = bundle.Bundle(
        found.path, {**found.manifest, "execution": None, "run": ["artifact/edgekit-run", "--library", "l", "--model"]}
    )
    with pytest.raises(DeviceError, match="no native program"):
        once(get_runner("adb"), other, [], RunOptions())
    assert not device.commands or nothing_is_left(device)


def test_a_run_that_fails_there(made: Path, device: Phone) -> None:
    found = bundle.load(made)
    with pytest.raises(DeviceError, match=r"in\.bin has 4 bytes"):
        once(get_runner("adb"), found, [np.zeros((1, 1), np.float32)], RunOptions())
    assert nothing_is_left(device)


@pytest.mark.parametrize("text", ["", "a b", "x\ty"])
def test_serials_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="not the serial"):
        get_runner(f"adb:{text}")


def test_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    monkeypatch.delenv("ANDROID_ADB_SERVER_PORT", raising=False)
    assert adb.server() == ("127.0.0.1", 5037)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "5038")
    assert adb.server() == ("127.0.0.1", 5038)
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:lab:5039")
    assert adb.server() == ("lab", 5039)
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:5040")
    assert adb.server() == ("127.0.0.1", 5040)
    for wrong in ("localfilesystem:/x", "tcp:lab:x", "tcp:0"):
        monkeypatch.setenv("ADB_SERVER_SOCKET", wrong)
        with pytest.raises(UsageError):
            adb.server()
