"""Estimates from calibrations: whose figures they are, when they are wider, and what is refused."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.errors import UsageError
from edgekit.graph import Graph, Operator, Subgraph
from edgekit.profiling import registry
from edgekit.profiling.calibrated import calibration, features
from edgekit.profiling.calibrated.fit import Samples, fit
from edgekit.profiling.calibrated.work import Kind, Work
from edgekit.profiling.dtypes import Dtype
from tests.e2e.command import edgekit
from tests.profiling.image_networks import NETWORKS


def test_a_runtime_that_was_measured() -> None:
    found = registry.estimate(NETWORKS["MobileNet v1"](), target.load("rpi4"), {"runtime": "tflite-v2.4.1-ruy"})
    assert found.conditions["calibration"] == "tflite-2.4-ruy"
    assert found.latency_ms.low < found.latency_ms.value < found.latency_ms.high < 3 * found.latency_ms.low
    assert found.scope == "wall" and "MLPerf" in found.basis
    assert sum(row.latency_ms for row in found.operators) == pytest.approx(found.latency_ms.value)


def test_more_threads_are_faster_where_they_were_measured() -> None:
    board, graph = target.load("rpi5"), NETWORKS["MobileNet v1"]()
    one, two, four = (
        registry.estimate(graph, board, {"runtime": "litert", "threads": n}).latency_ms.value for n in (1, 2, 4)
    )
    assert one > two > four > one / 4


def test_an_operator_that_no_measured_network_has_is_named_and_widens_the_interval() -> None:
    board, graph = target.load("rpi4"), NETWORKS["MobileNet v1"]()
    conditions = {"runtime": "tflite-2.4-ruy"}
    plain = registry.estimate(graph, board, conditions)
    main = graph.main
    odd = Operator("SVDF", (main.inputs[0],), (main.inputs[0],))
    strange = Graph([Subgraph("main", main.tensors, [*main.operators, *[odd] * 50], main.inputs, main.outputs)])
    found = registry.estimate(strange, board, conditions)
    assert "SVDF" in found.basis
    assert found.latency_ms.high / found.latency_ms.low > plain.latency_ms.high / plain.latency_ms.low


def test_energies_are_judged_where_power_was_measured() -> None:
    known = {(one.runtime, one.dtype): one for one in calibration.of("rpi4")}
    power = known["tflite-2.4-ruy", Dtype.INT8].power
    assert power is not None and power.judged is not None and power.scope == "wall"
    error, inside = power.judged
    assert 0 < error < 0.2 < 0.8 < inside <= 1 and power.low < power.watts < power.high
    found = registry.estimate(NETWORKS["MobileNet v1"](), target.load("rpi4"), {"runtime": "tflite-2.4-ruy"})
    assert ("energies" in found.basis) == any(
        one.power and one.power.judged for (runtime, dtype), one in known.items()
        if runtime == "tflite-2.4-ruy" and dtype is Dtype.FLOAT32
    )  # fmt: skip
    none = known["tflite-2.18-xnnpack", Dtype.INT8]
    assert none.power is None and none.json()["energy"] is None


def test_targets_show_lists_energies() -> None:
    shown, told = edgekit("targets", "show", "rpi4"), edgekit("targets", "show", "rpi4", "--json").json
    known = [one["energy"] for one in told["calibrations"] if one["energy"]]
    assert known and {one["scope"] for one in known} == {"wall"}
    rows = shown.out.partition("Energies")[2]
    assert all(f"{one['mape']:.0%}" in rows and f"{one['watts']:.3g} W" in rows for one in known)
    assert "Energies" not in edgekit("targets", "show", "rpi3b-plus").out


def test_every_file_reads() -> None:
    names = [path.name for path in calibration.folder().iterdir() if path.is_dir()]
    assert {"rpi4", "rpi5", "jetson-agx-orin-cpu"} <= set(names) <= set(target.names())
    assert all(calibration.of(name) for name in names)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 2"),
        ("pointwise_mac = ", "pointwise_mac = -"),
        ("covariance = '", "covariance = '1.0, "),
        ("covariance = '", "covariance = 'x, "),
        ("covariance = '", "covariance = '-"),
        ('runtime = "', 'runtime = "other-'),
        ("samples = ", "samples = x"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "rpi4" / "tflite-2.4-ruy-int8.toml"
    path.parent.mkdir()
    shutil.copy(calibration.folder() / "rpi4" / path.name, path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match="not a calibration") as refused:
        calibration.read(path)
    assert "\n" not in str(refused.value)


def test_names_of_runtimes() -> None:
    asked = {
        "litert 2.3.0": "tflite-2.18-xnnpack",
        "tflite-2.6-ruy": "tflite-2.5-ruy",
        "armnn-neon": "armnn-22.11-neon",
    }
    for name, expected in asked.items():
        choice = calibration.choose("rpi4", name, Dtype.INT8)
        assert choice is not None and choice.calibration.runtime == expected
    assert calibration.choose("rpi4", "tvm", Dtype.INT8).inferred  # type: ignore[union-attr]
    assert calibration.choose("rpi4", "none-such", Dtype.INT8) is None
    assert not calibration.knows("rpi4", "none-such")


def test_a_fit_finds_the_costs_that_made_the_figures() -> None:
    """Two boards, one twice as fast: the second has three rows, and takes the rest from the first."""
    rng = np.random.default_rng(0)

    def network() -> list[Work]:
        return [
            Work(Kind.POINTWISE, n, n, n // 8, int(n * rng.integers(8, 200)), n // 16, 16, 64)
            for n in rng.integers(5_000, 500_000, 12).tolist()
        ]

    prior = features.prior(integer=False)
    table = np.array([features.on_threads(features.features(network(), integer=False), 1).sum(0) for _ in range(40)])
    truth = np.exp(prior + np.where(np.arange(len(prior)) % 2, 0.5, -0.5))
    slow, fast = table @ truth, table @ truth / 2
    first = Samples(table[:30], slow[:30], ("r", "a", "a"))
    second = Samples(table[30:33], fast[30:33], ("r", "b", "b"))
    _, found = fit([first, second], prior)
    predicted, deviations = found.predict(table[33:])
    assert np.abs(predicted / fast[33:] - 1).max() < 0.1
    assert (deviations < 0.3).all()


def test_a_thousand_operators_take_a_moment() -> None:
    main = NETWORKS["MobileNet v1"]().main
    graph = Graph([Subgraph("main", main.tensors, main.operators[:20] * 50, main.inputs, main.outputs)])
    board = target.load("rpi4")
    registry.estimate(graph, board, {})
    start = time.process_time()
    found = registry.estimate(graph, board, {})
    assert len(found.operators) == 1000 and time.process_time() - start < 1
