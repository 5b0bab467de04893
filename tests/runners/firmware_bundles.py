"""Bundles whose firmware holds a network written by hand (``tests/firmware_stubs/tiny_model``)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import target
from edgekit.backends.c99 import firmware
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Execution, FirmwareStep, Kind
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.target import Target
from tests.networks.small import Builder

SOURCES = Path(__file__).parents[1] / "firmware_stubs" / "tiny_model"
INPUTS, OUTPUTS, ARENA = 600, 8, 4128
DIGEST = hashlib.sha256(b"tiny").digest()
WEIGHTS = np.array([1, -2, 3, -4, 5, -6, 7, -128], np.int32)
BIAS = np.array([0, 1, 2, 3, -4, -5, -6, 70000], np.int32)


def network(**changes: str) -> firmware.Network:
    """The network; ``changes``: text of ``tiny.c`` to replace, as ``old=new`` in pairs ``a``, ``b``..."""
    files = {name: (SOURCES / name).read_text() for name in ("tiny.c", "tiny.h")}
    for change in changes.values():
        old, _, new = change.partition("=>")
        assert old in files["tiny.c"]
        files["tiny.c"] = files["tiny.c"].replace(old, new)
    return firmware.Network(
        "tiny", files, ARENA, [FirmwareStep("dense", 0), FirmwareStep("minimum", 1)], DIGEST, ["x: 600 bytes"]
    )


def graph() -> Graph:
    """A Graph with the network's input, output and operators, whose numbers are others."""
    b = Builder()
    x = b.tensor((1, INPUTS), "int8", name="x")
    y = b.add("FULLY_CONNECTED", (x, b.constant(np.ones((OUTPUTS, INPUTS), np.int8))), (1, OUTPUTS), dtype="int32")
    z = b.add("MINIMUM", (y, b.constant(np.array([1000], np.int32))), (1, OUTPUTS), dtype="int32")
    return b.graph((x,), (z,))


def expected(inputs: NDArray[np.int8]) -> NDArray[np.int32]:
    """What the network computes, each sample from the initial state: ``[samples, 1, 8]``."""
    factors = 1 + np.arange(INPUTS) % 3
    sums = (inputs.astype(np.int32) @ factors)[..., None] * WEIGHTS + BIAS
    return (np.minimum(sums, 1000) + 1).astype(np.int32)


def samples(count: int) -> NDArray[np.int8]:
    return np.random.default_rng(1).integers(-128, 128, (count, 1, INPUTS), np.int8)


def bundle(folder: Path, board: str, one: firmware.Network | None = None) -> Bundle:
    """A bundle as the backend makes it; skips where there is no compiler."""
    (folder / "artifact").mkdir(parents=True)
    tflite.write(graph(), folder / "model.tflite")
    try:
        built = firmware.build(one or network(), target.load(board), folder / "artifact")
    except ToolMissing as error:
        pytest.skip(error.message)
    execution = Execution(Kind.FIRMWARE)
    manifest = {"target": board, "backend": "c99", "runtime": "c99", "execution": execution.json()}
    assert set(built.files) == {path.name for path in (folder / "artifact").iterdir()}
    return Bundle(folder, manifest)


def boards() -> list[str]:
    return [name for name in target.names() if target.load(name).kind == "mcu"]


def target_of(name: str) -> Target:
    return target.load(name)
