"""How the published tables are read: what was measured on how many threads, and what cannot have been."""

from __future__ import annotations

import numpy as np
import pytest

from tools.calibration import rows

pytestmark = pytest.mark.skipif(not rows.there(), reason="the published measurements are not in ../shared")


def sets(group: str) -> list[rows.Set]:
    return [one for one in rows.sets() if one.group == group]


def test_small_networks_of_nas_bench_201_ran_on_one_thread() -> None:
    """Two tables of one board and runtime: their rates differ by what threads make of it."""
    (pi,) = (one for one in sets("tflite") if one.target == "rpi4")
    rates = {
        threads: np.median([sum(w.macs for w in rows.work(row.network)) / row.latency_ms
                            for row in pi.rows[::20] if row.threads == threads])
        for threads in (1, 4)
    }  # fmt: skip
    assert 3 < rates[4] / rates[1] < 7
    assert all(row.threads == 1 for one in sets("tflite") if one.target != "rpi4" for row in one.rows)


def test_slow_cores_never_decide() -> None:
    most = {
        one.target: max(row.threads for row in one.rows)
        for one in sets("ncnn")
        if one.target in ("rk3399", "rk3588", "snapdragon-8-gen-2", "dimensity-9300")
    }
    assert most == {"rk3399": 2, "rk3588": 4, "snapdragon-8-gen-2": 4, "dimensity-9300": 4}


def test_no_gpu_multiplies_faster_than_it_can() -> None:
    """Billions of multiplications a second; the largest here, of Jetson AGX Orin, does some 2,700 in float32."""
    for one in sets("ncnn-vulkan"):
        for row in one.rows:
            assert sum(w.macs for w in rows.work(row.network)) / row.latency_ms / 1e6 < 1000, (one.key, row)


def test_figures_of_unstated_conditions_count_less() -> None:
    noise = {one.key: one.noise for one in rows.sets()}
    assert noise["rpi4", "tflite-xnnpack", "int8"] == noise["jetson-tx2", "tensorrt", "float16"] == rows.UNSTATED
    assert noise["rpi4", "tflite-2.18-xnnpack", "int8"] < rows.UNSTATED
