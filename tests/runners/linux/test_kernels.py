"""Which of LiteRT's kernels ran between which readings of the clock."""

from __future__ import annotations

import pytest

from edgekit.runners.linux import kernels


def event(tag: str, kind: int, start: int = 0, us: int = 0, node: int = 0) -> dict[str, object]:
    return {"tag": tag, "type": kind, "start_us": start, "us": us, "node": node, "source": "litert"}


# As LiteRT 2.3 reports ic_resnet8_int8, shortened: two runs of XNNPACK with a kernel of LiteRT's own between.
EVENTS = [
    event("LiteRT::Run[buffer registration]", 1, 100, 10),
    event("invoke", 16, 120, 100),
    event("Invoke", 1, 125, 90),
    event("Convolution (NHWC, QC8) IGEMM", 8, node=0),
    event("Add (ND)", 8, node=1),
    event("AVERAGE_POOL_2D", 2, 180, 5, node=2),
    event("Static Reshape (NC)", 8, node=0),
    event("Softmax (NC, F32)", 8, node=1),
    event("SOFTMAX", 2, 200, 5, node=5),
    event("Invoke", 32, node=-1),
    event("LiteRT::Run[Buffer sync]", 1, 230, 5),
]


def test_events_say_which_readings_are_around_a_kernel() -> None:
    # Readings: registration 0 1, invoke 2, Invoke 3, XNNPACK 4 5 6, pool 7 8, XNNPACK 9 10 11, softmax 12 13,
    # Invoke 14, invoke 15, sync 16 17: eighteen, with seventeen stretches between them.
    found = kernels.match(EVENTS, range(17))
    assert found is not None
    assert [(k.name.split(" (")[0], k.node, k.observed) for k in found] == [
        ("Convolution", None, 4), ("Add", None, 5), ("AVERAGE_POOL_2D", 2, 7),
        ("Static Reshape", None, 9), ("Softmax", None, 10), ("SOFTMAX", 5, 12),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 16, 18])
def test_events_that_do_not_fit_the_readings_are_refused(count: int) -> None:
    assert kernels.match(EVENTS, range(count)) is None


def test_events_within_one_microsecond() -> None:
    """An operator that begins where its surroundings end lies inside; what is not an operator follows them."""
    events = [
        event("Invoke", 1, 100, 5), event("SOFTMAX", 2, 105, 0), event("SOFTMAX", 2, 105, 0, 1),
        event("LiteRT::Run[Buffer sync]", 1, 105, 3),
    ]  # fmt: skip
    found = kernels.match(events, range(7))  # Invoke 0, softmax 1 2, softmax 3 4, Invoke 5, sync 6 7
    assert found is not None and [(k.node, k.observed) for k in found] == [(0, 1), (1, 3)]


def test_means_do_not_confuse_the_order() -> None:
    """``us`` may be the mean over inferences faster than the one whose beginnings are listed."""
    inner = event("SOFTMAX", 2, 180, 5)
    assert kernels.match([event("Invoke", 1, 100, 90), inner], range(3)) is not None
    slow = {**event("Invoke", 1, 100, 50), "end_us": 190}
    found = kernels.match([slow, inner], range(3))
    assert found is not None and [k.observed for k in found] == [1]


def test_a_compiled_networks_kernels_have_two_readings_each() -> None:
    events = [event("copy", 2, 100, 0, -1), event("dense", 2, 100, 9, 0), event("add", 2, 109, 0, 1)]
    found = kernels.match(events, range(5))  # copy 0 1, dense 2 3, add 4 5
    assert found is not None and [(k.name, k.node, k.observed) for k in found] == [
        ("copy", -1, 0), ("dense", 0, 2), ("add", 1, 4),
    ]  # fmt: skip


def test_the_list_alone() -> None:
    found = kernels.listed([*EVENTS, event("TfLiteXNNPackDelegate", 2, 210, 9, node=6)], 6)
    assert [(k.name.split(" (")[0], k.node) for k in found] == [
        ("Convolution", None), ("Add", None), ("AVERAGE_POOL_2D", 2), ("Static Reshape", None), ("Softmax", None),
        ("SOFTMAX", 5),
    ]  # fmt: skip
