"""Which cost model is looked up, and what is refused in the files that register them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import resources, target
from edgekit.errors import EdgekitError
from edgekit.profiling import CostModel, Evidence, registry
from edgekit.profiling.accelerator import AcceleratorCost
from edgekit.profiling.cycles import EmulatedCost
from edgekit.profiling.dtypes import Dtype
from edgekit.profiling.fpga import FpgaEstimate
from edgekit.profiling.gpu import GpuCost
from edgekit.profiling.hls import HlsCost
from edgekit.profiling.logic import LogicCost
from edgekit.profiling.mcu.cost import FirmwareCost
from edgekit.profiling.mcu.estimate import FirmwareEstimate
from edgekit.profiling.measured import Measured
from edgekit.profiling.npu import NpuCost
from edgekit.profiling.overlay import OverlayCost
from edgekit.profiling.registry import Registration, lookup
from edgekit.profiling.roofline import Roofline
from edgekit.target import BoardKind

FOLDER = resources.folder("targets") / "costs"
ESTIMATES: dict[BoardKind, type] = {
    BoardKind.LINUX: Roofline, BoardKind.PHONE: Roofline, BoardKind.GPU: GpuCost,
    BoardKind.ACCELERATOR: AcceleratorCost, BoardKind.MCU: FirmwareEstimate, BoardKind.NPU: NpuCost,
    BoardKind.FPGA: FpgaEstimate, BoardKind.LOGIC: LogicCost,
    BoardKind.HLS: HlsCost,
}  # fmt: skip


@pytest.mark.parametrize("name", target.names())
@pytest.mark.parametrize("runtime", ["any", "litert 2.3.0", "tensorrt"])
@pytest.mark.parametrize("dtype", Dtype)
def test_what_every_target_gets(name: str, runtime: str, dtype: Dtype) -> None:
    board = target.load(name)
    found = {evidence: type(lookup(board, runtime, dtype, evidence)) for evidence in Evidence}
    special = {
        BoardKind.GPU: GpuCost, BoardKind.MCU: FirmwareCost, BoardKind.FPGA: OverlayCost, BoardKind.LOGIC: LogicCost,
        BoardKind.HLS: HlsCost,
    }  # fmt: skip
    emulated = special.get(board.kind, EmulatedCost)
    assert found == {
        Evidence.ESTIMATE: ESTIMATES[board.kind], Evidence.EMULATOR: emulated, Evidence.DEVICE: Measured
    }  # fmt: skip


def registered(monkeypatch: pytest.MonkeyPatch, *rows: Registration) -> list[CostModel]:
    """The rows alone, each with a model of its own."""
    models: list[CostModel] = [Measured() for _ in rows]
    monkeypatch.setattr(registry, "_registered", lambda: list(zip(rows, models, strict=True)))
    return models


def test_the_most_specific_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    every = Registration("m", (Evidence.ESTIMATE,))
    rows = [
        every, replace(every, kinds=(BoardKind.LINUX,)), replace(every, dtypes=(Dtype.INT8,)),
        replace(every, runtimes=("tvm",)), replace(every, targets=("rpi4",)),
        replace(every, targets=("rpi4",), runtimes=("tvm",), dtypes=(Dtype.INT8,)),
    ]  # fmt: skip
    models = registered(monkeypatch, *rows)
    asked = [
        ("jetson-orin-nano", "any", Dtype.FLOAT32), ("rpi5", "any", Dtype.FLOAT32), ("rpi5", "any", Dtype.INT8),
        ("rpi5", "tvm", Dtype.INT8), ("rpi4", "any", Dtype.INT8), ("rpi4", "tvm", Dtype.INT8),
    ]  # fmt: skip
    found = [lookup(target.load(name), runtime, dtype, Evidence.ESTIMATE) for name, runtime, dtype in asked]
    assert [models.index(model) for model in found] == list(range(6))


def test_no_model_and_two_alike_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Registration("m", (Evidence.ESTIMATE,))
    registered(monkeypatch, row, row)
    for evidence, count in ((Evidence.ESTIMATE, 2), (Evidence.DEVICE, 0)):
        with pytest.raises(EdgekitError, match=f"^{count} cost models fit rpi4, any, int8 and {evidence}"):
            lookup(target.load("rpi4"), "any", Dtype.INT8, evidence)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("high = 3.0", "", "coefficients.high is missing: upper end"),
        ("high = 3.0", "high = '3'", "coefficients.high is '3', not a number: upper end"),
        (
            "thread_efficiency = 0.8",
            "thread_efficiency = 1.5",
            "thread_efficiency is 1.5, which cannot be",
        ),
        ("CONV_2D = 0.5", "CONV_2D = true", "coefficients.efficiency.CONV_2D is True, not a number"),
        ('["estimate"]', '["guess"]', "evidence is 'guess', not one of estimate, emulator, device"),
        ('["estimate"]', '"estimate"', "evidence is 'estimate', not a list"),
        ('"roofline"', '"floor"', "'floor'"),
        ('model = "roofline"', "model = 1", "model is 1, not a text"),
    ],
)
def test_a_wrong_file_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = (FOLDER / "roofline.toml").read_text()
    assert old in text
    (tmp_path / "roofline.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(EdgekitError) as caught:
        registry.read(tmp_path / "roofline.toml")
    assert f"{tmp_path / 'roofline.toml'}: " in caught.value.message and said in caught.value.message


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_coefficient_has_a_source(path: Path) -> None:
    import tomllib

    data = tomllib.loads(path.read_text())
    numbers = [key for key, value in data.get("coefficients", {}).items() if not isinstance(value, str)]
    assert sorted(numbers) == sorted(data.get("sources", {}))
