"""The Edge TPU's estimates against the latencies that its vendor published.

Source: coral.ai/docs/edgetpu/benchmarks, table 1, column "Desktop CPU + USB Accelerator (USB 3.0) with Edge TPU", ms.
Left out are networks of which a part runs on the host's CPU (SSD, DeepLab, U-Net): the estimate is of the chip alone.
"""

from __future__ import annotations

import re

import pytest

from edgekit import target
from edgekit.graph.stats import statistics
from edgekit.profiling import Profile, registry
from tests.profiling.image_networks import NETWORKS, Network

PUBLISHED = {
    "DenseNet": 20, "Inception v1": 3.4, "Inception v4": 85, "MobileNet v1": 2.4, "MobileNet v2": 2.6,
    "ResNet-50 V1": 49, "ResNet-50 V2": 50, "ResNet-152 V2": 128, "SqueezeNet": 2.1, "VGG16": 296, "VGG19": 308,
    "EfficientNet-EdgeTpu-S": 5.1, "EfficientNet-EdgeTpu-M": 8.7, "EfficientNet-EdgeTpu-L": 25.3,
}  # fmt: skip
MILLION_PARAMETERS = {
    "DenseNet": 8.0, "Inception v1": 6.6, "Inception v4": 42.7, "Inception-ResNet V2": 55.8, "MobileNet v1": 4.2,
    "MobileNet v2": 3.5, "ResNet-50 V1": 25.6, "ResNet-50 V2": 25.6, "ResNet-152 V2": 60.3, "SqueezeNet": 1.25,
    "VGG16": 138.4, "VGG19": 143.7, "EfficientNet-EdgeTpu-S": 5.4, "EfficientNet-EdgeTpu-M": 6.9,
    "EfficientNet-EdgeTpu-L": 10.6,
}  # fmt: skip
"""As the networks' authors state them."""
CORAL = target.load("coral-edgetpu")


def estimate(name: str) -> Profile:
    return registry.estimate(NETWORKS[name](), CORAL, {"threads": 1})


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_have_their_published_size(name: str) -> None:
    assert statistics(NETWORKS[name]()).parameters / 1e6 == pytest.approx(MILLION_PARAMETERS[name], rel=0.01)


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_the_published_table_lies_in_the_interval(name: str, published: float) -> None:
    latency = estimate(name).latency_ms
    assert latency.low <= published <= latency.high
    assert published == pytest.approx(latency.value, rel=0.3)


def test_one_published_figure_contradicts_the_link() -> None:
    """55.8 MB of parameters, of which 8 MB stay on the chip, in 57 ms: more than USB 3.0 carries (500 MB/s)."""
    latency = estimate("Inception-ResNet V2").latency_ms
    assert 57 < (55.8e6 - 8 * 2**20) / 0.5e9 * 1e3 < latency.low


def test_parameters_that_fit_are_not_sent_again() -> None:
    small, large = estimate("MobileNet v1"), estimate("ResNet-50 V1")
    assert ", 0.00 MB sent to it" in small.basis
    assert not [row for row in small.operators if row.bound == "memory" and row.op == "FULLY_CONNECTED"]
    sent = [row for row in large.operators if row.bound == "memory" and row.op == "CONV_2D"]
    kept, left = (float(figure) for figure in re.findall(r"([\d.]+) MB", large.basis))
    assert sent and kept + left == pytest.approx(25.6, abs=0.1)
    assert 0 < kept * 1e6 + statistics(NETWORKS["ResNet-50 V1"]()).peak_activation_bytes < 8 * 2**20


def dense(count: int) -> Network:
    """``count`` layers of 4096 x 512 and back: 4.2 MB a pair."""
    network = Network(1)
    x = network.image
    for _ in range(count):
        x = network.dense(network.dense(x, 4096), 512)
    network.graph(x)
    return network


def test_memory_is_filled_before_anything_is_streamed() -> None:
    """One pair of layers fits, of three one does not: only what does not fit costs the link's time."""
    times = []
    for count in (1, 2, 3):
        network = dense(count)
        graph = network.graph(len(network.tensors) - 1)
        times.append(registry.estimate(graph, CORAL, {"threads": 1}).latency_ms.value)
    first, second, third = times
    layer = 4096 * 512 / 0.49e9 * 1e3
    assert second - first < layer / 2
    assert third - second == pytest.approx(2 * layer, rel=0.1)


def test_no_estimate_is_below_the_hardwares_bound() -> None:
    """All multipliers busy, or what cannot be on the chip over the link at its highest rate."""
    for name, make in NETWORKS.items():
        stats = statistics(make())
        compute = stats.macs / (4096 * 480e6) * 1e3
        sent = max(0, stats.weights_bytes - 8 * 2**20) / 0.5e9 * 1e3
        latency = estimate(name).latency_ms
        assert max(compute, sent) <= latency.low <= latency.value <= latency.high, name
