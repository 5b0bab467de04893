"""Which runners prove a bundle, and on which machine."""

from __future__ import annotations

import platform

import pytest

from edgekit import target
from edgekit.bundle.execution import Execution, Kind
from edgekit.runners import Source, get, provers

LIBRARY = Execution(Kind.LIBRARY, ("artifact/edgekit-run",), "network.so")
NETWORK = Execution()
"""No program of its own: only the network."""


@pytest.mark.parametrize(
    ("name", "execution", "expected"),
    [
        ("rpi4", LIBRARY, ["emulator"]),
        ("rpi4", NETWORK, ["host"]),
        ("mali-g610", LIBRARY, ["pocl"]),
        ("host", LIBRARY, ["host"]),
        ("host", NETWORK, ["host"]),
        ("ios", Execution(prover="mil"), ["mil"]),
        ("host", Execution(prover="null"), ["null"]),
    ],
)
def test_provers_that_work_here(name: str, execution: Execution, expected: list[str]) -> None:
    """Code for another processor is not proven by executing it; a network without code is not emulated."""
    if platform.machine() == "aarch64" and name == "rpi4" and execution is LIBRARY:
        expected = ["emulator", "host"]
    assert provers(target.load(name), execution) == expected


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("emulator", Source.EMULATOR), ("pocl", Source.EMULATOR), ("cuda-emulator", Source.EMULATOR),
        ("host", Source.HOST), ("null", Source.HOST), ("mil", Source.HOST), ("onnx", Source.HOST),
        ("host-gpu", Source.HOST), ("ssh", Source.DEVICE), ("adb", Source.DEVICE),
    ],
)  # fmt: skip
def test_where_runners_observe(name: str, source: Source) -> None:
    assert get(name).source is source
