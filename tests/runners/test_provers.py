"""Which runners prove a bundle, and on which machine."""

from __future__ import annotations

import pytest

from edgekit import target
from edgekit.bundle.execution import Execution, Kind
from edgekit.runners import Source, get, provers, provers_here

PROGRAM = Execution(Kind.LIBRARY, ("artifact/edgekit-run",), "network.so")
NETWORK = Execution()
"""No program of its own: only the network."""


@pytest.mark.parametrize(
    ("name", "execution", "executable", "expected"),
    [
        ("rpi4", PROGRAM, True, ["emulator", "host"]),
        ("rpi4", PROGRAM, False, ["emulator"]),
        ("rpi4", NETWORK, True, ["host"]),
        ("rpi4", NETWORK, False, ["emulator"]),
        ("mali-g610", PROGRAM, False, ["pocl"]),
        ("mali-g610", NETWORK, True, ["pocl"]),
        ("host", PROGRAM, False, []),
        ("ios", Execution(prover="mil"), False, ["mil"]),
        ("host", Execution(prover="null"), True, ["null"]),
    ],
)
def test_provers_that_work_here(name: str, execution: Execution, executable: bool, expected: list[str]) -> None:
    assert provers_here(target.load(name), execution, executable=executable) == expected


def test_provers_of_a_target() -> None:
    assert provers(target.load("rpi4")) == provers(target.load("rpi4"), NETWORK) == ["emulator", "host"]


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
