"""Files, errors and traces that runners share."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest

from edgekit.bundle.samples import pack
from edgekit.errors import DeviceError, ModelError
from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.runners import RunOptions
from edgekit.runners.linux import process
from edgekit.runners.linux.program import Program


def graph(*outputs: Tensor, ops: tuple[Operator, ...] = ()) -> Graph:
    return Graph([Subgraph("main", list(outputs), list(ops), (), tuple(range(len(outputs))))])


def test_packing_is_sample_by_sample_little_endian() -> None:
    a = np.array([[1, 2], [3, 4]], ">i2")
    b = np.array([[7], [8]], np.int8)
    assert pack([a, b]) == bytes([1, 0, 2, 0, 7, 3, 0, 4, 0, 8])


def test_unpacking_reverses_it() -> None:
    a = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)
    b = np.array([[True], [False]])
    c = np.array([[2**40], [-1]])
    network = graph(Tensor("a", (1, 2, 3), "float32"), Tensor("b", (1,), "bool"), Tensor("c", (1,), "int64"))
    for sent, got in zip([a, b, c], process.unpack(pack([a, b, c]), network, 2), strict=True):
        np.testing.assert_array_equal(sent, got)
        assert sent.dtype == got.dtype


def test_outputs_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(DeviceError, match="3 bytes of tensors, 4 were expected"):
        process.unpack(b"abc", graph(Tensor("a", (2,), "int8")), 2)


@pytest.mark.parametrize("shape", [(0, 10), (2,)])
def test_outputs_larger_than_the_model_says_are_the_models_fault(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="larger than the model says: 20 bytes"):
        process.unpack(bytes(20), graph(Tensor("a", shape, "int8")), 2)


def test_no_samples() -> None:
    with pytest.raises(DeviceError, match="no samples"):
        pack([np.zeros((0, 3))])


def test_arguments() -> None:
    found = process.arguments(3, RunOptions(repeat=5, warmup=2, threads=4, profile=True))
    text = " ".join(found)
    assert "--samples 3 --repeat 5 --warmup 2 --threads 4 --profile" in text


@pytest.mark.parametrize(
    ("status", "output", "kind", "what"),
    [
        (3, "INFO: x\nERROR: [a.cc:7] bad op\nedgekit-run: LiteRT refuses the model", ModelError, "bad op"),
        (6, "edgekit-run: cannot write out.bin: No space left on device", DeviceError, "No space left"),
        (-11, "", DeviceError, "crashed (signal 11)"),
        (139, "Segmentation fault", DeviceError, "crashed (signal 11)"),
        (1, "", DeviceError, "status 1"),
    ],
)
def test_failures_are_one_line(status: int, output: str, kind: type[Exception], what: str) -> None:
    error = process.failure(status, output, "the board")
    assert type(error) is kind and what in error.message and "the board" in error.message
    assert "\n" not in error.message


def test_a_crash_of_compiled_code_says_what_to_do() -> None:
    program = Program("network.so", compiled=True)
    illegal = process.failure(128 + signal.SIGILL, "", "the board", program)
    assert "the compiled network crashed (signal 4)" in illegal.message and "instructions" in illegal.hint
    assert "--backend litert" in process.failure(-signal.SIGSEGV, "", "the board", program).hint


TRACE = {
    "schema": 1, "runtime": "litert 2.3.0", "threads": 2, "init_ms": 1.5, "latency_ms": [2.0, 1.0, 3.0],
    "events": [
        {"tag": "LiteRT::Run", "node": 0, "source": "litert", "type": 1, "start_us": 5, "us": 100.0},
        {"tag": "Fully Connected (NC, F32) GEMM", "node": 0, "source": "delegate", "type": 8, "start_us": 0, "us": 40},
        {"tag": "SOFTMAX", "node": 1, "source": "interpreter", "type": 2, "start_us": 60, "us": 10.5},
    ],
    "power": {"scope": "board_supply", "source": "meter", "samples_w": [3.5, 4.5]},
    "peak_ram_bytes": 1000, "machine": {"model": "Board", "cpu": "Cortex-A72", "clock_mhz": 1500},
}  # fmt: skip


def network() -> Graph:
    tensors = (Tensor("x", (1, 4), "float32"), Tensor("h", (1, 2), "float32"), Tensor("y", (1, 2), "float32"))
    weights = Tensor("w", (2, 4), "float32", data=np.zeros(32, np.uint8))
    ops = (Operator("FULLY_CONNECTED", (0, 3, -1), (1,)), Operator("SOFTMAX", (1,), (2,)))
    return Graph([Subgraph("main", [*tensors, weights], list(ops), (0,), (2,))])


def test_a_trace() -> None:
    trace, conditions = process.parse_trace(json.dumps(TRACE), network(), "device")
    assert trace.latency_ms == [2.0, 1.0, 3.0] and trace.power_w == [3.5, 4.5]
    assert trace.power_scope == "board_supply" and trace.peak_ram_bytes == 1000
    rows = {row.index: row.latency_ms for row in trace.operators}
    assert rows == {0: pytest.approx(0.04), 1: pytest.approx(0.0105)}
    assert conditions["machine"] == "Board Cortex-A72" and conditions["clock_mhz"] == 1500
    assert conditions["median_ms"] == 2.0


@pytest.mark.parametrize("samples", [[], [0.0, 0.0], [0, 0, 0], [float("nan"), 1.0]])
def test_a_meter_that_stands_still_measures_nothing(samples: list[float]) -> None:
    power = {"scope": "core_rail", "source": "RAPL", "samples_w": samples}
    trace, conditions = process.parse_trace(json.dumps({**TRACE, "power": power}), network(), "host")
    assert trace.power_w == [] and trace.power_scope is None and "power_source" not in conditions


def rows(readings_ns: list[float]) -> dict[int | None, float | None]:
    trace, _ = process.parse_trace(json.dumps({**TRACE, "readings_ns": readings_ns}), network(), "device")
    return {row.index: row.latency_ms for row in trace.operators}


def test_readings_of_the_clock_tell_nanoseconds() -> None:
    # Run begins; XNNPACK's start and end of its only kernel; softmax; Run ends.
    assert rows([0, 1000, 40750, 41000, 51250, 99000]) == {0: pytest.approx(0.03975), 1: pytest.approx(0.01025)}


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [0, 1000, 40750, 41000, 51250],  # one is missing
        [0, 1000, 43000, 44000, 54250, 99000],  # as many, but a time that the profiler denies
    ],
)
def test_readings_that_do_not_fit_are_not_used(readings: list[float]) -> None:
    assert rows(readings) == {0: pytest.approx(0.04), 1: pytest.approx(0.0105)}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**TRACE, "events": [{}]}), '{"latency_ms": "x"}'])
def test_a_damaged_trace_is_one_line(text: str) -> None:
    with pytest.raises(DeviceError, match="trace is damaged"):
        process.parse_trace(text, network(), "device")
