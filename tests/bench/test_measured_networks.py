"""Networks described from their papers have the multiplications and weights that the papers give."""

from __future__ import annotations

import pytest

from bench.measured.names import UnknownNetwork, describe
from bench.measured.works import works


@pytest.mark.parametrize(
    ("name", "macs", "weights"),  # millions
    [
        ("mobilenet-v1-1.0-224-quantized", 569, 4.2),
        ("mobilenet-v2-1.0-224-non-quantized", 300, 3.5),
        ("mobilenet-v3-large_224_1.0_float", 217, 5.4),
        ("efficientnet_b0", 390, 5.3),
        ("ResNet50", 4090, 25.5),
        ("ResNet18", 1814, 11.7),
        ("shufflenet_v2", 146, 2.3),
        ("vgg16", 15470, 138.4),
        ("YOLOX-s", 13400, 9.0),
        ("MovileViT-s", 2000, 5.6),
    ],
)
def test_work_as_published(name: str, macs: float, weights: float) -> None:
    found = works(describe(name))
    assert sum(w.macs for w in found) / 1e6 == pytest.approx(macs, rel=0.03)
    assert sum(w.weights for w in found) / 1e6 == pytest.approx(weights, rel=0.04)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UnknownNetwork):
        describe("gnmt")
