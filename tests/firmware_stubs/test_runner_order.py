"""What edgekit-run does in which order, and what it counts as time: with a clock that only the test moves."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from c_programs import HERE, compiled

from edgekit.backends import runner_build
from edgekit.backends.litert import library
from edgekit.graph import tflite
from tests.networks import tabular
from tests.networks.small import Builder

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
    pytest.mark.skipif(platform.system() != "Linux", reason="edgekit-run is Linux's"),
]


@dataclass
class Machine:
    """The runner, the clock and the network."""

    runner: Path
    clock: Path
    network: Path

    def run(self, folder: Path, *options: object, inputs: bytes, **env: str) -> subprocess.CompletedProcess[str]:
        (folder / "in.bin").write_bytes(inputs)
        command = [str(self.runner), "--inputs", "in.bin", "--outputs", "out.bin", "--trace", "t.json"]
        command += ["--sysfs-root", str(folder / "empty"), *map(str, options)]
        environment = {**os.environ, "LD_PRELOAD": str(self.clock), "RECORD": "record", "PATH": "", **env}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    shared = ("-O1", "-fPIC", "-shared", "-fno-builtin")
    return Machine(
        runner_build.get(platform.machine()).path,
        compiled(folder / "clock.so", [HERE / "fake_clock.c"], *shared),
        compiled(folder / "network.so", [HERE / "recorder.c"], *shared),
    )


def recorded(
    machine: Machine, folder: Path, *options: object, samples: int = 2, times: tuple[int, ...] = (0,)
) -> tuple[list[str], dict]:
    """What the network was asked, and the trace; ``times`` in microseconds."""
    inputs = np.zeros((samples, 1313), np.float32)
    inputs[:, 0] = np.arange(1, samples + 1)
    done = machine.run(
        folder, "--library", machine.network, "--samples", samples, *options,
        inputs=inputs.tobytes(), TIMES_NS=",".join(str(1000 * us) for us in times),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (folder / "record").read_text().splitlines(), json.loads((folder / "t.json").read_text())


def test_each_sample_runs_once_in_a_cleared_arena(machine: Machine, tmp_path: Path) -> None:
    asked, trace = recorded(machine, tmp_path, samples=3)
    assert asked == ["1", "2", "3"]
    outputs = np.fromfile(tmp_path / "out.bin", np.float32).reshape(3, 2)
    assert outputs.tolist() == [[1, 0], [2, 1], [3, 2]]
    assert trace["latency_ms"] == trace["events"] == trace["readings_ns"] == [] and trace["power"] is None


def test_warm_up_and_repetitions_take_the_samples_in_turn(machine: Machine, tmp_path: Path) -> None:
    asked, trace = recorded(machine, tmp_path, "--warmup", 3, "--repeat", 5)
    assert asked == ["1", "2", *("1", "2", "1"), *("1", "2", "1", "2", "1")]
    assert trace["latency_ms"] == [0] * 5  # writing a sample takes a millisecond, and is not part of it


def test_latencies_are_milliseconds_in_the_order_of_the_inferences(machine: Machine, tmp_path: Path) -> None:
    times = (7, 1_500_000, 250, 999_999)  # the second crosses a whole second
    _, trace = recorded(machine, tmp_path, "--repeat", 4, "--warmup", 2, times=times)
    assert trace["latency_ms"] == pytest.approx([0.007, 1500, 0.25, 999.999], abs=1e-7)


def test_loading_a_compiled_network_is_part_of_its_start(machine: Machine, tmp_path: Path) -> None:
    assert recorded(machine, tmp_path)[1]["init_ms"] == pytest.approx(1000)


def test_an_observed_inference_follows_one_that_warms_the_caches(machine: Machine, tmp_path: Path) -> None:
    asked, trace = recorded(machine, tmp_path, "--profile", "--repeat", 2)
    assert asked == ["1", "2", *("1", "2"), *["1 observed"] * 2, *["2 observed"] * 2]
    assert trace["profiled_inferences"] == 2 and len(trace["latency_ms"]) == 2


def test_without_repetitions_one_inference_is_observed(machine: Machine, tmp_path: Path) -> None:
    asked, trace = recorded(machine, tmp_path, "--profile", times=(0, 0, 0, 80))
    assert asked == ["1", "2", "1 observed", "1 observed"] and trace["profiled_inferences"] == 1
    assert [(e["tag"], e["node"], e["source"], e["us"]) for e in trace["events"]] == [
        ("first", 4, "compiled", 20),
        ("second", -1, "compiled", 60),
    ]
    assert [event["end_us"] - event["start_us"] for event in trace["events"]] == [20, 60]
    assert trace["events"][0]["end_us"] == trace["events"][1]["start_us"]
    assert trace["readings_ns"] == [0, 20_000, 20_000, 80_000]


def test_operators_are_means_of_the_faster_half(machine: Machine, tmp_path: Path) -> None:
    """Two samples, four timed; then the warm ones and those that are observed in turns."""
    times = (0, 0, *(5, 5, 5, 5), *(9, 400), *(9, 40), *(9, 80), *(9, 4000))
    _, trace = recorded(machine, tmp_path, "--profile", "--repeat", 4, times=times)
    assert trace["latency_ms"] == pytest.approx([0.005] * 4) and trace["profiled_inferences"] == 4
    assert [event["us"] for event in trace["events"]] == [15, 45]
    assert trace["readings_ns"] == [0, 15_000, 15_000, 60_000]


def test_observing_ends_after_two_seconds(machine: Machine, tmp_path: Path) -> None:
    """600 ms an inference, and each is run twice."""
    _, trace = recorded(machine, tmp_path, "--profile", "--repeat", 9, times=(600_000,))
    assert len(trace["latency_ms"]) == 9 and trace["profiled_inferences"] == 2


def test_an_emulator_gets_one_inference_of_each_kind(machine: Machine, tmp_path: Path) -> None:
    asked, trace = recorded(machine, tmp_path, "--markers", "--repeat", 5)
    assert asked == ["1", "2", "1"] and trace["latency_ms"] == []
    (tmp_path / "record").unlink()
    asked, trace = recorded(machine, tmp_path, "--markers", "--profile", "--repeat", 5)
    assert asked == ["1 observed", "2 observed", "1 observed"] and trace["readings_ns"] == []


@pytest.mark.parametrize("size", [10503, 10505, 5252, 15756])
def test_inputs_of_another_size_are_refused(machine: Machine, tmp_path: Path, size: int) -> None:
    done = machine.run(tmp_path, "--library", machine.network, "--samples", 2, inputs=bytes(size))
    assert done.returncode == 2 and f"in.bin has {size} bytes, 2 samples need 10504" in done.stderr
    assert not (tmp_path / "record").exists()


def test_a_trace_that_the_disk_has_no_room_for(machine: Machine, tmp_path: Path) -> None:
    done = machine.run(
        tmp_path, "--library", machine.network, "--samples", 1, "--trace", "/dev/full", inputs=bytes(5252)
    )
    assert done.returncode == 6 and "cannot write /dev/full: No space left" in done.stderr


# LiteRT


def litert(machine: Machine, folder: Path, model: Path, inputs: np.ndarray, *options: object) -> tuple[bytes, dict]:
    done = machine.run(
        folder, "--library", library.installed(), "--model", model, "--samples", len(inputs), *options,
        inputs=inputs.tobytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (folder / "out.bin").read_bytes(), json.loads((folder / "t.json").read_text())


def test_loading_litert_is_no_part_of_a_networks_start(machine: Machine, models: Path, tmp_path: Path) -> None:
    model = models / "tflite_micro" / "hello_world_float.tflite"
    _, trace = litert(machine, tmp_path, model, np.zeros((1, 1), np.float32))
    assert trace["init_ms"] == 0 and trace["peak_ram_bytes"] > 1 << 20


def test_no_state_passes_from_one_sample_to_the_next(machine: Machine, tmp_path: Path) -> None:
    """An SVDF of two units that remembers four inputs; every output is the sum of what it remembers."""
    b = Builder()
    x, state = b.tensor((1, 3), name="x"), b.tensor((1, 8), name="state", is_variable=True)
    feature, time = b.constant(np.ones((2, 3), np.float32)), b.constant(np.ones((2, 4), np.float32))
    y = b.add("SVDF", (x, feature, time, -1, state), (1, 2), options="SVDF", rank=1)
    tflite.write(b.graph((x,), (y,)), tmp_path / "m.tflite")
    found, _ = litert(machine, tmp_path, tmp_path / "m.tflite", np.diag([1, 2, 4]).astype(np.float32), "--repeat", 2)
    assert np.frombuffer(found, np.float32).reshape(3, 2).tolist() == [[1, 1], [2, 2], [4, 4]]


def test_no_resource_variable_passes_from_one_sample_to_the_next(machine: Machine, tmp_path: Path) -> None:
    tflite.write(tabular.adding_up(), tmp_path / "m.tflite")
    found, _ = litert(machine, tmp_path, tmp_path / "m.tflite", np.ones((3, 5), np.float32))
    first, *others = np.frombuffer(found, np.float32).tolist()
    assert first != 0 and others == [first, first]


def test_outputs_come_in_the_models_order(machine: Machine, tmp_path: Path) -> None:
    """A tensor may be two outputs. LiteRT writes the last of them only; parity refuses such networks."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("RELU", (x,), (1, 4))
    z = b.add("ADD", (y, y), (1, 4), options="Add")
    tflite.write(b.graph((x,), (z, y, z)), tmp_path / "m.tflite")
    given = np.array([[1, -2, 3, -4]], np.float32)
    found, _ = litert(machine, tmp_path, tmp_path / "m.tflite", given)
    assert np.frombuffer(found, np.float32)[4:].tolist() == [1, 0, 3, 0, 2, 0, 6, 0]
