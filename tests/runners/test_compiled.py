"""Networks compiled to a library of their own: on this machine, in the emulator, and every way they can fail."""

from __future__ import annotations

import statistics
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bundles import samples_for
from compiled_bundles import COLUMNS, ROWS, compiled_bundle

from edgekit.api.profile import profile
from edgekit.bundle import Bundle
from edgekit.bundle.readme import readme
from edgekit.bundle.samples import pack
from edgekit.bundle.writing import finish, save_golden
from edgekit.errors import CheckFailed, DeviceError
from edgekit.profiling import energy
from edgekit.reference.litert import reference_outputs
from edgekit.runners import OperatorTrace, Runner, RunOptions, once
from edgekit.runners.emulator import RUNTIME_ROW, EmulatorRunner
from edgekit.runners.host import HostRunner
from edgekit.runners.linux import process

emulated = pytest.mark.emulator
PLACES = [pytest.param(HostRunner(), "host", id="host"), pytest.param(EmulatorRunner(), "rpi4", id="e", marks=emulated)]
ROWS_SEEN = [(None, "copy", ()), (0, "dense", ()), (1, 'add "relu"', (2,))]


@pytest.fixture(scope="module")
def board_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return compiled_bundle(tmp_path_factory.mktemp("bundles") / "b", "rpi4")


def seen(rows: list[OperatorTrace]) -> list[tuple[int | None, str, tuple[int, ...]]]:
    return [(row.index, row.name, row.fused) for row in rows]


@pytest.mark.parametrize(("runner", "board"), PLACES)
def test_outputs_are_the_references(runner: Runner, board: str, tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", board)
    inputs = samples_for(bundle.graph, 5)
    run = once(runner, bundle, inputs, RunOptions(threads=4))
    for got, expected in zip(run.outputs, reference_outputs(bundle.model, inputs), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    assert (run.outputs[0] == 0).any() and run.outputs[0].any()
    assert run.trace.runtime == "by hand 1.0"
    assert run.conditions["threads"] == 1


def test_times_go_to_the_operators(tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", "host")
    run = once(HostRunner(), bundle, samples_for(bundle.graph, 2), RunOptions(repeat=60, warmup=5, profile=True))
    assert len(run.trace.latency_ms) == 60
    assert seen(run.trace.operators) == ROWS_SEEN
    times = [row.latency_ms or 0 for row in run.trace.operators]
    assert min(times) > 0 and times[1] > 0.5 * sum(times)
    assert sum(times) < 2 * statistics.median(run.trace.latency_ms) + 1e-3


@emulated
def test_counts_go_to_the_operators_and_add_up(board_bundle: Bundle) -> None:
    inputs = samples_for(board_bundle.graph, 1)
    trace = once(EmulatorRunner(), board_bundle, inputs, RunOptions(profile=True)).trace
    assert seen(trace.operators) == [*ROWS_SEEN, (None, RUNTIME_ROW, ())]
    copy, dense, add, _ = (row.counts["instructions"] for row in trace.operators)
    assert 3 * ROWS * COLUMNS < dense < 5 * ROWS * COLUMNS  # load, load, multiply-add, as the compiler unrolls it
    assert copy < 1000 and COLUMNS / 4 < add < 10 * COLUMNS + 500
    whole = trace.counts["instructions"]
    assert abs(sum(row.counts["instructions"] for row in trace.operators) - whole) <= 0.02 * whole
    assert trace.operators[1].counts["load_bytes"] >= 2 * 4 * ROWS * COLUMNS


@emulated
def test_counts_do_not_vary(board_bundle: Bundle) -> None:
    inputs = samples_for(board_bundle.graph, 1)
    first, again = (once(EmulatorRunner(), board_bundle, inputs, RunOptions(profile=True)).trace for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("runner", "board"), PLACES)
@pytest.mark.parametrize(
    ("define", "what"),
    [
        ("ABI=7", "interface is version 7, this program's 3"),
        ("FAILS=1", "kernel 1 of the network failed: dense"),
        ("FAILS=0", "kernel 0 of the network failed: copy"),
        ("STATUS=50", "the network failed .status 50."),
        ("STATUS=-7", "the network failed .status -7."),
        ("ARENA=(1ull<<60)", "no memory for the network's arena of 1152921504606846976 bytes"),
        ("EXPORTED=another", "holds no compiled network"),
        ("TICKS=0", "3 kernels, but ticked 2 times"),
    ],
)
def test_failures_are_one_line(runner: Runner, board: str, define: str, what: str, tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", board, define)
    inputs = samples_for(bundle.graph, 1)
    with pytest.raises(DeviceError, match=what) as caught:
        once(runner, bundle, inputs, RunOptions(profile=True))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("runner", "board"), PLACES)
def test_a_crash_is_the_networks(runner: Runner, board: str, tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", board, "CRASHES")
    with pytest.raises(DeviceError, match=r"crashed \((signal 11|SIGSEGV)\)") as caught:
        once(runner, bundle, samples_for(bundle.graph, 1), RunOptions())
    assert "LiteRT" not in caught.value.message and "--backend litert" in caught.value.hint


@pytest.mark.parametrize(("runner", "board"), PLACES)
def test_a_damaged_or_missing_library(runner: Runner, board: str, tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", board)
    inputs = samples_for(bundle.graph, 1)
    file = bundle.artifact / "network.so"
    file.write_bytes(b"no library" * 300)
    with pytest.raises(DeviceError, match="cannot load the library"):
        once(runner, bundle, inputs, RunOptions())
    file.unlink()
    with pytest.raises(DeviceError, match=r"network\.so"):
        once(runner, bundle, inputs, RunOptions())


def test_the_host_refuses_another_processors_code(board_bundle: Bundle) -> None:
    from edgekit.backends.runner_build import native_arch

    if native_arch("native") == "aarch64":
        pytest.skip("this machine runs the board's code")
    with pytest.raises(DeviceError, match="compiled for aarch64, this machine is") as caught:
        once(HostRunner(), board_bundle, samples_for(board_bundle.graph, 1), RunOptions())
    assert "--on emulator" in caught.value.hint


@pytest.mark.parametrize("on", ["estimate", "host", pytest.param("emulator", marks=emulated)])
def test_a_profile_is_of_one_thread_whatever_is_wanted(on: str, tmp_path: Path) -> None:
    made = compiled_bundle(tmp_path / "b", "rpi4" if on == "emulator" else "host")
    inputs = samples_for(made.graph, 2)
    save_golden(made.path, inputs, reference_outputs(made.model, inputs))
    named = {"model": {"name": "net"}, "recipe": {"name": "as-is"}}
    finish(made.path, {**made.manifest, **named, "runtime": "by hand", "inputs": [], "outputs": []})
    found = profile(made.path, on=on, threads=2)
    assert found.conditions["threads"] == 1
    assert found.power_w == energy.power(made.target, 1)
    assert sum(row.latency_ms or 0 for row in found.operators) == pytest.approx(found.latency_ms.value)


def test_the_readmes_command_runs(tmp_path: Path) -> None:
    bundle = compiled_bundle(tmp_path / "b", "host")
    described = {
        "model": {"name": "net"}, "recipe": {"name": "fp32"}, "runtime": "by hand", "edgekit": "1", "outputs": [],
        "inputs": [],
    }  # fmt: skip
    text = readme({**bundle.manifest, **described}, bundle.target, bundle.execution)
    assert "run.py" not in text
    (command,) = [line.strip() for line in text.splitlines() if line.startswith("    artifact/")]
    inputs = samples_for(bundle.graph, 1)
    (bundle.path / "in.bin").write_bytes(pack(inputs))
    subprocess.run(command.split(), cwd=bundle.path, check=True)
    outputs = process.unpack((bundle.path / "out.bin").read_bytes(), bundle.graph, 1)
    np.testing.assert_allclose(outputs[0], reference_outputs(bundle.model, inputs)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("run", ["edgekit-run", ["edgekit-run", "--library"], ["x"], ["--library", 3], {"a": 1}])
def test_a_bundle_that_something_else_runs(run: object, board_bundle: Bundle) -> None:
    damaged = Bundle(board_bundle.path, {**board_bundle.manifest, "run": run})
    with pytest.raises(CheckFailed, match="is not a command of edgekit-run"):
        once(HostRunner(), damaged, samples_for(board_bundle.graph, 1), RunOptions())
