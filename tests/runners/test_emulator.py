"""The emulator runner on real networks: exact and repeatable counts, one row an operator, clear errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import bundle_of, graph_of, samples_for

from edgekit import target
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.errors import DeviceError, ModelError, ToolMissing
from edgekit.graph.stats import macs
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions, Trace, once, tracing
from edgekit.runners.emulator import RUNTIME_ROW, EmulatorRunner, plugin
from edgekit.tools import toolchain

pytestmark = pytest.mark.emulator

RESNET = "mlperf_tiny/ic_resnet8_int8.tflite"
NETWORKS = [
    RESNET,
    "mlperf_tiny/ic_resnet8_fp32.tflite",
    "mlperf_tiny/kws_int8.tflite",
    "mlperf_tiny/kws_fp32.tflite",  # hybrid: float activations, int8 weights
    "mlperf_tiny/ad01_int8.tflite",
    "tflite_micro/person_detect.tflite",
    "tflite_micro/keyword_scrambled_8bit.tflite",  # most of it runs in LiteRT's own kernels
]


def observe(name: str, board: str, folder: Path) -> tuple[Bundle, Trace]:
    bundle = bundle_of(graph_of(name), board, folder / f"{Path(name).stem}.{board}")
    run = once(EmulatorRunner(), bundle, samples_for(bundle.graph, 1), RunOptions(profile=True))
    return bundle, run.trace


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_has_its_row_and_the_rows_add_up(name: str, tmp_path: Path) -> None:
    bundle, trace = observe(name, "rpi4", tmp_path)
    heavy = {i for i, op in enumerate(bundle.graph.operators) if macs(bundle.graph.main, op)}
    assert heavy <= {row.index for row in trace.operators}
    assert [row.name for row in trace.operators if row.index is None] == [RUNTIME_ROW]
    indices = [row.index for row in trace.operators if row.index is not None]
    assert indices == sorted(set(indices))  # each once, in order
    whole = trace.counts["instructions"]
    assert abs(sum(row.counts["instructions"] for row in trace.operators) - whole) <= 0.02 * whole
    work = sum(row.counts["instructions"] for row in trace.operators if row.index is not None)
    assert work + 8000 > whole  # LiteRT's own part is small and does not grow with the network


def test_a_rows_instructions_grow_with_its_work(tmp_path: Path) -> None:
    """An attribution that mixes operators up would not give each convolution its MACs."""
    bundle, trace = observe("mlperf_tiny/ic_resnet8_fp32.tflite", "rpi4", tmp_path)
    for row in trace.operators:
        work = macs(bundle.graph.main, bundle.graph.operators[row.index]) if row.index is not None else 0
        if work > 100_000:  # four MACs a vector instruction, a little more for padded tiles
            assert work / 4 <= row.counts["fp_fma_vec"] <= 1.1 * work / 4


def test_counts_do_not_vary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from run to run, nor with the user's environment or folders."""
    bundle, first = observe(RESNET, "rpi5", tmp_path)
    inputs = samples_for(bundle.graph, 1)
    again = once(EmulatorRunner(), bundle, inputs, RunOptions(profile=True)).trace
    elsewhere = tmp_path / "a" / ("rather-long-name" * 4)
    elsewhere.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.setenv("SOME_VARIABLE", "x" * 5000)
    moved = Bundle(bundle.path.rename(elsewhere / "bundle"), bundle.manifest)
    third = once(EmulatorRunner(), moved, inputs, RunOptions(profile=True)).trace
    assert first == again == third


def test_dot_products_need_fewer_instructions(tmp_path: Path) -> None:
    _, old = observe(RESNET, "rpi4", tmp_path)
    _, new = observe(RESNET, "rpi5", tmp_path)
    assert old.counts["int8_dot"] == 0 < new.counts["int8_dot"]
    assert new.counts["instructions"] < 0.5 * old.counts["instructions"]


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_litert_on_this_host(name: str, tmp_path: Path) -> None:
    """Integer kernels agree to the bit between architectures; float ones differ in the order of their sums."""
    bundle = bundle_of(graph_of(name), "rpi5", tmp_path / "b")
    inputs = samples_for(bundle.graph, 3)
    run = once(EmulatorRunner(), bundle, inputs, RunOptions())
    assert not run.trace.operators and run.trace.counts["instructions"] > 0
    for got, expected in zip(run.outputs, reference_outputs(bundle.model, inputs, optimized=True), strict=True):
        assert got.shape == expected.shape and got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-3 if got.dtype == np.float32 else 0)


def test_a_network_that_litert_refuses_is_one_clear_line(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of(RESNET), "rpi4", tmp_path / "b")
    inputs = samples_for(bundle.graph, 1)
    bundle.model.write_bytes(bundle.model.read_bytes()[:2000])
    broken = Bundle(bundle.path, bundle.manifest)
    broken.__dict__["graph"] = bundle.graph  # read before it was damaged
    with pytest.raises(ModelError, match=r"^LiteRT refuses the model: [^\n]+$") as caught:
        once(EmulatorRunner(), broken, inputs, RunOptions())
    assert "--on host" in caught.value.hint


def test_a_crash_of_the_guest_names_the_signal(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of(RESNET), "rpi4", tmp_path / "b")
    library = bundle.artifact / "libLiteRt.so"
    content = bytearray(library.read_bytes())
    content[0x110000:0x200000] = bytes(0xF0000)  # code becomes undefined instructions
    library.unlink()
    library.write_bytes(content)
    with pytest.raises(DeviceError, match=r"crashed \(SIG"):
        once(EmulatorRunner(), bundle, samples_for(bundle.graph, 1), RunOptions())


def test_a_plugin_that_qemu_does_not_load_is_a_missing_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(graph_of(RESNET), "rpi4", tmp_path / "b")
    source = tmp_path / "other.c"
    source.write_text("int qemu_plugin_version = 99; int qemu_plugin_install(void) { return 0; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "other.so", source], check=True)
    monkeypatch.setattr(plugin, "get", lambda: tmp_path / "other.so")
    with pytest.raises(ToolMissing, match="cannot load") as caught:
        once(EmulatorRunner(), bundle, samples_for(bundle.graph, 1), RunOptions())
    assert "qemu-user" in caught.value.hint


def test_a_bundle_without_a_runner_is_refused(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of(RESNET), "rpi4", tmp_path / "b")
    (bundle.artifact / "edgekit-run").unlink()
    with pytest.raises(DeviceError, match="edgekit-run"):
        once(EmulatorRunner(), bundle, samples_for(bundle.graph, 1), RunOptions())


def test_there_is_no_emulator_for_the_host() -> None:
    run = Execution(Kind.RUNTIME, runner_command("library.so", model=True), "library.so")
    refused = EmulatorRunner().accepts(run, target.load("host"))
    assert refused is not None and "no emulator for the target 'host'" in refused.reason
    assert EmulatorRunner().accepts(run, target.load("rpi4")) is None
    refused = EmulatorRunner().accepts(Execution(), target.load("rpi4"))  # a network, and no program
    assert refused is not None and "no edgekit-run" in refused.reason


def test_without_qemu_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing) as caught:
        tracing.emulator("qemu-aarch64")
    assert "apt-get install" in caught.value.hint and "qemu-user" in caught.value.hint


def test_an_emulator_without_plugins_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "qemu-aarch64"
    fake.write_text("#!/bin/sh\necho usage: qemu-aarch64\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolMissing, match="without plugin support"):
        tracing.emulator("qemu-aarch64")


def test_the_plugin_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    built = plugin.get()
    stamp = built.stat().st_mtime_ns
    assert plugin.get() == built and built.stat().st_mtime_ns == stamp
    tools = [replace(tool, program="no-such-compiler") for tool in toolchain.load("plugin-cc").tools]
    assert not any(tool.found() for tool in tools)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert plugin.get() == built  # no compiler is needed any more


LONG = """
import json
import sys
from pathlib import Path
import numpy as np
from edgekit.bundle import Bundle
from edgekit.runners import RunOptions, once
from edgekit.runners.emulator import EmulatorRunner
x = np.zeros((5000, 1, 32, 32, 3), np.int8)
print("started", flush=True)
once(EmulatorRunner(), Bundle(Path(sys.argv[1]), json.loads(sys.argv[2])), [x], RunOptions(profile=True))
"""


def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    bundle = bundle_of(graph_of(RESNET), "rpi4", tmp_path / "b")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, bundle.path, json.dumps(bundle.manifest)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout and process.stdout.readline() == b"started\n"
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert list(scratch.iterdir()) == []
