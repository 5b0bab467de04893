"""Latency of one network in edgekit's runner, in LiteRT's Python interpreter and in ONNX Runtime, interleaved.

Machines drift: clocks, caches, neighbours. So the runtimes take turns in short bursts, and ratios are taken within
a round and then their median.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import networks
import numpy as np

from edgekit import bundle as bundles
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner

BURST_SECONDS = 0.3
PINNED = "pinned to one core, in turns, medians"


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference; a list has one median a round."""

    network: networks.Network
    runners: list[float]
    litert_rounds: list[float]
    onnx_rounds: list[float]

    @property
    def runner(self) -> float:
        return statistics.median(self.runners)

    @property
    def litert(self) -> float:
        return statistics.median(self.litert_rounds)

    @property
    def onnx(self) -> float | None:
        return statistics.median(self.onnx_rounds) if self.onnx_rounds else None

    def ratio(self) -> float:
        return statistics.median(a / b for a, b in zip(self.runners, self.litert_rounds, strict=True))

    def ratio_onnx(self) -> float:
        return statistics.median(a / b for a, b in zip(self.runners, self.onnx_rounds, strict=True))


def measure(network: networks.Network, rounds: int) -> Latency:
    """Measure a network on one core, with one thread each."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        litert, onnx = litert_call(network), onnx_call(network)
        repeat = max(20, int(BURST_SECONDS * 1e3 / burst(litert, 20)))
        found = Latency(network, [], [], [])
        for _ in range(rounds):
            found.runners.append(runner_burst(network, repeat))
            found.litert_rounds.append(burst(litert, repeat))
            if onnx:
                found.onnx_rounds.append(burst(onnx, repeat))
        return found
    finally:
        os.sched_setaffinity(0, cores)


def burst(call: Callable[[], Any], repeat: int) -> float:
    """Median of ``repeat`` calls, after a tenth as many to warm up; in ms."""
    for _ in range(max(2, repeat // 10)):
        call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1e6


def runner_burst(network: networks.Network, repeat: int, threads: int = 1) -> float:
    """The same in edgekit's C runner, as ``edgekit run --on host`` starts it; the runner's own clock, in ms."""
    options = RunOptions(repeat=repeat, warmup=max(2, repeat // 10), threads=threads)
    with bundles.opened(network.bundle) as bundle:
        run = once(get_runner("host"), bundle, [network.sample()[np.newaxis]], options)
    return statistics.median(run.trace.latency_ms)


def litert_call(network: networks.Network) -> Callable[[], Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(network.bundle / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], network.sample())
    invoke: Callable[[], Any] = interpreter.invoke
    return invoke


def onnx_call(network: networks.Network) -> Callable[[], Any] | None:
    if network.onnx is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(network.onnx), options, providers=["CPUExecutionProvider"])
    sample = np.random.default_rng(0).random(network.sample().shape, dtype=np.float32)
    return lambda: session.run(None, {"input": sample})
