"""``edgekit tune`` through the command line: what it finds is kept, used, resumed after a kill, refused elsewhere."""

from __future__ import annotations

import json
import os
import re
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
from edgekit.bundle import digest
from edgekit.graph import Graph, tflite
from tests.e2e.command import EDGEKIT, refused
from tests.e2e.command import edgekit as call
from tests.installed import needed
from tests.networks.building import RELU, Pictures
from tests.networks.small import unary

needed("tvm", "tvm")


def network() -> Graph:
    n = Pictures()
    x = n.tensor((1, 16, 16, 8))
    y = n.conv(x, 32, (3, 3), activation=RELU)
    n.conv(y, 8, (3, 3))  # takes as long, so that both kernels get trials, whatever else runs here
    return n.all_results(x)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "n.tflite"
    path.write_bytes(tflite.dumps(network()))
    return path


def trials(path: Path) -> list[dict[str, Any]]:
    return [entry for line in path.read_text().splitlines()[1:] if "choice" in (entry := json.loads(line))]


@pytest.mark.slow
def test_tunes_is_used_and_goes_on(model: Path, tmp_path: Path) -> None:
    base, out = tmp_path / "base.jsonl", tmp_path / "out"
    first = call("tune", model, "--target", "host", "--trials", "8", "--database", base, "--json").json
    assert first["trials"] == {"wanted": 8, "known": 0, "new": 8} and not first["interrupted"]
    assert [row["trials"] + row["failed"] > 0 for row in first["kernels"]] == [True, True]
    assert all(row["failed"] == 0 for row in first["kernels"])
    assert first["used"] == any(row["used"] for row in first["kernels"])
    again = call("tune", model, "--target", "host", "--trials", "12", "--database", base, "-v")
    assert again.code == 0 and "12 trials, 4 of them new" in again.out
    assert re.search(r"trial 9 of 12: conv 16x16x(8|16|32), kernel 3x3x\d+, best [\d.]+x", again.err)
    tried = trials(base)
    assert len(tried) == 12 == len({json.dumps([t["kernel"], t["choice"]]) for t in tried})
    assert any("trace" in t["choice"] for t in tried) and any("tile" in t["choice"] for t in tried)
    # Whatever was decided: a compile with each kernel's best trial is proven, says so, and has the same bytes twice.
    with base.open("a") as file:
        for kernel in {t["kernel"] for t in tried}:
            best = min((t for t in tried if t["kernel"] == kernel), key=lambda t: t["ratio"])
            file.write(json.dumps({"kernel": kernel, "verdict": best["choice"]}) + "\n")
    compile_ = ["compile", model, "--target", "host", "--backend", "tvm", "--out"]
    made = [call(*compile_, out / name, "--database", base, "--json").json["bundles"][0] for name in "ab"]
    assert all(bundle["parity"]["ok"] for bundle in made)
    assert made[0]["artifact"] == made[1]["artifact"]
    manifest = json.loads((Path(made[0]["path"]) / "manifest.json").read_text())
    assert manifest["tools"]["tuned"] == "2 kernels"
    assert manifest["tuning"]["sha256"] == digest(base)
    rules = call(*compile_, out / "rules", "--json").json["bundles"][0]
    assert "tuned" not in json.loads((Path(rules["path"]) / "manifest.json").read_text())["tools"]
    assert rules["artifact"] != made[0]["artifact"]


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    command = [EDGEKIT, "tune", model, "--target", "host", "--trials", "16", "--database", base]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not base.is_file() or len(base.read_text().splitlines()) < 6):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = trials(base)
    assert 4 <= len(kept) < 16
    result = call(*command[1:], "--json").json
    assert result["trials"]["known"] == len(kept) and result["trials"]["new"] == 16 - len(kept)
    tried = trials(base)
    assert tried[: len(kept)] == kept
    assert len({json.dumps([t["kernel"], t["choice"]]) for t in tried}) == 16


def test_ctrl_c_shows_what_there_is(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    command = [EDGEKIT, "tune", model, "--target", "host", "--trials", "4000", "--database", base, "--json"]
    process = subprocess.Popen([str(p) for p in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and (not base.is_file() or len(base.read_text().splitlines()) < 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    made = json.loads(out)
    assert made["interrupted"] and made["trials"]["new"] == len(trials(base)) >= 1


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[str]:
    """TVM's tracker with two servers for ``host`` on loopback; its address."""
    pytest.importorskip("tornado", reason="needs the extra 'farm'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "start_new_session": True}
    tracker = [sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", str(port), "--port-end",
               str(port + 1)]  # fmt: skip
    server = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--tracker", address, "--key", "host",
              "--port", "9700", "--port-end", "9900"]  # fmt: skip
    started = [subprocess.Popen(tracker, **quiet)]  # type: ignore[call-overload]
    try:
        _until(lambda: _answers(port))
        started += [subprocess.Popen(server, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        from edgekit.tuning.farm import boards

        def both() -> bool:
            try:
                return boards("127.0.0.1", port, "host") == 2
            except edgekit.errors.DeviceError:
                return False

        _until(both)
        yield f"tracker://{address}"
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(ready: Any) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "it does not start"
        time.sleep(0.1)


@pytest.mark.slow
def test_two_boards_of_a_tracker(farm: str, model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    command = ["tune", model, "--target", "host", "--trials", "4", "--database", base, "--on", farm]
    made = call(*command, "--json").json
    assert made["trials"]["new"] == 4 and sum(row["failed"] for row in made["kernels"]) == 0
    assert made["network"] is None
    assert all(trial["on"] == "tracker" and trial["us"] > 0 for trial in trials(base))
    nobody = ["tune", model, "--target", "rpi4", "--trials", "4", "--database", tmp_path / "other", "--on", farm]
    refused(call(*nobody), 6, "no board named rpi4", "it has: host", "--key rpi4")


def test_refusals(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    refused(call("tune", model, "--target", "host", "--trials", "0"), 2, "trials must be at least 1")
    refused(call("tune", model), 2, "--target")
    refused(call("tune", model, "--target", "coral-edgetpu"), 2, "TVM does not support")
    refused(
        call("tune", model, "--target", "rpi4", "--on", "host", "--database", base), 6, "do not run on this machine"
    )
    refused(call("tune", model, "--target", "host", "--on", "estimate"), 2, "cannot be measured on estimate")
    mover = tmp_path / "mover.tflite"
    mover.write_bytes(tflite.dumps(unary("RELU", (1, 4))))
    refused(call("tune", mover, "--target", "host"), 3, "no kernel to tune")
    refused(call("tune", model, "--target", "host", "--on", "tracker://nowhere"), 2, "is not a tracker")
    nobody = call("tune", model, "--target", "host", "--on", "tracker://127.0.0.1:9")
    refused(nobody, 6, "does not answer", "rpc_tracker --port 9 --port-end 10")
    unknown = call("tune", model, "--target", "host", "--on", "tracker://no-such-host.invalid:9190")
    refused(unknown, 6, "does not answer", "check the name")
    assert not base.exists()


def test_a_listener_that_says_nothing_is_no_tracker(model: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        began = time.monotonic()
        where = f"tracker://127.0.0.1:{listener.getsockname()[1]}"
        refused(call("tune", model, "--target", "host", "--on", where), 6, "does not answer: timed out")
        assert time.monotonic() - began < 20


def test_another_targets_database(model: Path, tmp_path: Path) -> None:
    from edgekit import target
    from edgekit.backends.tvm import database

    base = tmp_path / "pi4.jsonl"
    with database.opened(str(base), target.load("rpi4")):
        pass
    for verb in (["tune"], ["compile", "--backend", "tvm", "--out", tmp_path / "out"]):
        done = call(*verb, model, "--target", "host", "--database", base)
        refused(done, 2, "is for Cortex-A72, not for host")
    assert not (tmp_path / "out").exists()
    refused(call("compile", model, "--target", "host", "--database", base, "--no-tuned"), 2, "exclude each other")


@pytest.mark.slow
@pytest.mark.emulator
def test_an_emulator_ranks_kernels_for_a_board(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.jsonl"
    made = call("tune", model, "--target", "rpi4", "--trials", "4", "--database", base, "--json").json
    assert made["on"] == "emulator" and made["trials"]["new"] == 4
    assert all(row["failed"] == 0 and row["rule_us"] > 0 for row in made["kernels"])
    ratios = [trial["ratio"] for trial in trials(base)]
    assert len(ratios) == 4 and np.ptp(ratios) > 0


def test_tvm_is_not_installed(model: Path, tmp_path: Path) -> None:
    """A Python without TVM: the same packages, but for a finder that does not find it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'tvm' else found(name, package)\n"
    )
    done = call("tune", model, "--target", "host", env={"PYTHONPATH": str(tmp_path)})
    refused(done, 4, "TVM is not installed", "edgekit[tvm]")
