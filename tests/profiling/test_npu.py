"""The estimate of an NPU: vela's cycles where it can be asked, else a roofline."""

from __future__ import annotations

import pytest

from edgekit import target
from edgekit.backends.vela import compiler
from edgekit.metrics import differences, parity
from edgekit.profiling import Profile, registry
from tests.networks.npu import SCALE, mixed
from tests.networks.small import convolutional

U55 = target.load("ethos-u55-128")


def estimate(graph: object = None) -> Profile:
    return registry.estimate(graph or mixed(), U55, {"threads": 1})  # type: ignore[arg-type]


@pytest.mark.usefixtures("vela")
def test_cycles_are_velas_and_the_core_is_added() -> None:
    compiled = compiler.compile(mixed(), U55.neural)
    profile = estimate()
    rows = profile.operators
    assert [row.bound for row in rows] == ["npu", "core", "npu", "core"]
    assert [row.cycles is None for row in rows] == [False, True, False, True]
    assert sum(row.cycles or 0 for row in rows) == compiled.cycles and profile.cycles is None
    assert rows[0].latency_ms == pytest.approx((rows[0].cycles or 0) / 500e3)
    assert profile.latency_ms.value == pytest.approx(sum(row.latency_ms for row in rows))
    assert profile.latency_ms.low < profile.latency_ms.value < profile.latency_ms.high
    assert (
        profile.memory["peak_ram_bytes"] == compiled.ram_bytes and profile.memory["flash_bytes"] == compiled.flash_bytes
    )
    assert "vela 5.2.0" in profile.basis and "Ethos_U55_High_End_Embedded" in profile.basis
    assert "2 operators on the core" in profile.basis and profile.conditions["clock_mhz"] == 500


@pytest.mark.usefixtures("vela")
def test_no_operator_is_faster_than_all_multipliers() -> None:
    for row in estimate().operators:
        if row.bound == "npu":
            assert row.latency_ms >= row.macs / 128 / 500e3


@pytest.mark.usefixtures("vela")
def test_a_network_that_vela_does_not_take_has_a_roofline() -> None:
    profile = estimate(convolutional())
    assert profile.basis.startswith("a roofline, because the network is not one of integers")
    assert profile.latency_ms.low < profile.latency_ms.value < profile.latency_ms.high


def test_without_vela_there_is_a_roofline(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    profile = estimate()
    assert "vela is not installed" in profile.basis and {row.bound for row in profile.operators} <= {
        "compute",
        "memory",
    }


def test_a_partial_verdict_is_never_ok() -> None:
    import numpy as np

    graph = mixed()
    index = graph.operators[1].outputs[0]
    right = np.zeros((2, *graph.tensors[index].shape), np.int8)
    wrong = right.copy()
    wrong[1, 0, 0, 0, 0] = 1
    assert SCALE is graph.tensors[index].quantization
    good = parity.partial(graph, {index: right}, {index: right}, (0, 2, 3), "checked", differences.EXACT)
    assert good.ok is None and good.verdict == "not executed" and good.samples == 2
    bad = parity.partial(graph, {index: right}, {index: wrong}, (0, 2, 3), "checked", differences.EXACT)
    assert bad.ok is False and bad.verdict == "FAILED" and bad.words().startswith("operator 1 CONV_2D")
    nothing = parity.partial(graph, {}, {}, (0, 1, 2, 3), "checked", differences.EXACT)
    assert nothing.ok is None and "4 operators" in nothing.words()
