"""Ethos-U: what vela makes of networks, how that is checked, and what is refused.

Nothing here executes Ethos-U commands; the expected cycles and bytes are what vela 5.2.0 reports.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgekit
from edgekit import delegates, target
from edgekit.api.run import run
from edgekit.api.verify import verify
from edgekit.backends import Request, vela
from edgekit.backends.vela import compiler, core, structure
from edgekit.backends.vela.structure import Different, parts
from edgekit.bundle import writing
from edgekit.errors import DeviceError, ModelError, ToolMissing
from edgekit.graph import Graph, Operator, tflite
from edgekit.tools import environment, toolchain
from tests.networks.building import Pictures
from tests.networks.npu import SCALE, mixed
from tests.networks.small import Builder, convolutional

U55, U65, U85 = (target.load(name) for name in ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256"))
compiled_here = pytest.mark.usefixtures("vela")


@pytest.fixture(scope="module")
def made(vela: None) -> bytes:
    return compiler.compile(mixed(), U55.neural).data


NETWORKS = {
    "tflite_micro/person_detect": (31, 353931, 74480, 233744),
    "mlperf_tiny/ic_resnet8_int8": (16, 201747, 51840, 79248),
    "mlperf_tiny/kws_int8": (13, 89900, 22192, 31104),
    "mlperf_tiny/ad01_int8": (10, 201184, 768, 201184),
}


@compiled_here
@pytest.mark.parametrize("board", [U55, U65, U85], ids=lambda board: board.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_real_networks_run_on_the_npu_as_the_list_says(models: Path, name: str, board: target.Target) -> None:
    graph = tflite.read(models / f"{name}.tflite")
    compiled = compiler.compile(graph, board.neural)
    (part,) = vela.checked(graph, compiled)
    operators, cycles, sram, flash = NETWORKS[name]
    assert part.npu and part.operators == tuple(range(operators)) and compiled.reasons == {}
    assert all(v.taken for v in vela.predicted(graph, board))
    if board is U55:
        assert (compiled.cycles, compiled.ram_bytes, compiled.flash_bytes) == (cycles, sram, flash)
    assert compiled.clock_hz == board.neural.hertz


def test_an_operator_is_left_to_the_core_with_velas_reason(made: bytes) -> None:
    graph = mixed()
    compiled = compiler.compile(graph, U55.neural)
    found = vela.checked(graph, compiled)
    assert [(part.npu, part.operators) for part in found] == [(True, (0,)), (False, (1,)), (True, (2,)), (False, (3,))]
    assert [part.inputs for part in found[1:]] == [part.outputs for part in found[:-1]]
    assert set(compiled.reasons) == {1, 3} and "stride" in compiled.reasons[1].lower()
    assert {operation.source for operation in compiled.operations if operation.cycles} == {0, 2}
    assert [v.taken for v in vela.predicted(graph, U55)] == [True, False, True, False]
    assert all(v.taken for v in vela.predicted(graph, U85))


def test_the_same_network_gives_the_same_bytes(made: bytes) -> None:
    compiler._compiled.cache_clear()
    assert compiler.compile(mixed(), U55.neural).data == made


def _weights(graph: Graph) -> None:
    tensor = graph.tensors[next(o for o in graph.operators if o.op == "CONV_2D").inputs[1]]
    assert tensor.data is not None
    tensor.data = tensor.data ^ np.uint8(1)


def _stride(graph: Graph) -> None:
    next(o for o in graph.operators if o.op == "CONV_2D").options.strideH = 3


def _scale(graph: Graph) -> None:
    graph.outputs[0].quantization = replace(SCALE, zero_point=np.array([4]))


def _name(graph: Graph) -> None:
    graph.inputs[0].name = "y"


def _shape(graph: Graph) -> None:
    graph.outputs[0].shape = (1, 1, 4)


def _commands(graph: Graph) -> None:
    index = next(o for o in graph.operators if o.custom).inputs[0]
    graph.tensors[index].data = np.zeros(8, np.uint8)


def _twin(graph: Graph) -> None:
    operator = graph.operators[1]
    graph.main.operators[1] = replace(operator, inputs=(graph.main.inputs[0], *operator.inputs[1:]))


def _early(graph: Graph) -> None:
    graph.main.operators[0], graph.main.operators[2] = graph.main.operators[2], graph.main.operators[0]


def _unknown(graph: Graph) -> None:
    graph.tensors[graph.operators[2].outputs[0]].name = "new"


CHANGES: list[tuple[Callable[[Graph], None], str]] = [
    (_weights, "constant"),
    (_stride, "operator 1 CONV_2D, on the CPU, is another"),
    (_scale, "quantization"),
    (_name, "inputs are others"),
    (_shape, r"\[1, 1, 4\]"),
    (_commands, "no commands"),
    (_twin, r"operator 1 CONV_2D, on the CPU, reads 'x' \[1, 24, 24, 3\] instead of"),
    (_early, "before it is computed"),
    (_unknown, "'new'"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_another_network_is_told_apart(made: bytes, change: Callable[[Graph], None], words: str) -> None:
    graph = structure.read(made)
    change(graph)
    with pytest.raises(Different, match=words):
        parts(mixed(), tflite.dumps(graph))


def test_an_operator_without_operations_is_told(made: bytes) -> None:
    graph = mixed()
    compiled = compiler.compile(graph, U55.neural)
    without = replace(compiled, operations=tuple(o for o in compiled.operations if o.source != 2))
    assert structure.unaccounted(graph, without, parts(graph, made)) == [2]
    with pytest.raises(ModelError, match="no operation for operator 2 CONV_2D"):
        vela.checked(graph, without)


def test_a_part_that_skips_an_operator_is_told_by_its_operations(made: bytes) -> None:
    """The second custom operator reads the network's input, and the core's first operator is gone."""
    compiled, graph = compiler.compile(mixed(), U55.neural), structure.read(made)
    first, _, second, last = graph.operators
    graph.main.operators[:] = [first, replace(second, inputs=(*second.inputs[:4], first.inputs[4])), last]
    found = parts(mixed(), tflite.dumps(graph))
    assert [part.operators for part in found if part.npu] == [(0,), (0, 1, 2)]
    assert structure.unaccounted(mixed(), compiled, found) == [1]


@compiled_here
def test_copies_that_vela_makes_are_known_by_their_names() -> None:
    b = Builder()
    x = b.tensor((1, 4, 4, 8), "int8", name="x", quantization=SCALE)
    flat = b.add("RESHAPE", (x, b.constant(np.array([16, 8], np.int32))), (16, 8), "int8")
    blocks = b.add("SPACE_TO_DEPTH", (x,), (1, 2, 2, 32), "int8", options="SpaceToDepth", blockSize=2)
    twice = b.add("RELU", (flat,), (16, 8), "int8")
    for index in (flat, blocks, twice):
        b.tensors[index].quantization = SCALE
    graph = b.graph((x,), (blocks, twice))
    compiled = compiler.compile(graph, U55.neural)
    assert "x_copy" in [tensor.name for tensor in structure.read(compiled.data).tensors]
    found = vela.checked(graph, compiled)
    assert [(part.npu, part.operators, part.inputs) for part in found] == [(True, (0, 2), (x,)), (False, (1,), (x,))]


def test_names_are_made_unique() -> None:
    graph = mixed()
    for tensor in graph.tensors[1:]:
        tensor.name = "x"
    names = [tensor.name for tensor in compiler.named(graph).tensors]
    assert len(set(names)) == len(names) and names[0] == "x"


# Bundles


@pytest.fixture(scope="module")
def built(vela: None, tmp_path_factory: pytest.TempPathFactory) -> edgekit.Compiled:
    folder = tmp_path_factory.mktemp("vela")
    tflite.write(mixed(), folder / "net.tflite")
    return edgekit.compile(folder / "net.tflite", targets=["ethos-u55-128"], out=folder)[0]


def test_a_bundle_never_says_ok(built: edgekit.Compiled) -> None:
    parity = built.parity
    assert parity.ok is None and parity.verdict == "not executed" and parity.not_executed == (0, 2)
    assert [(row.index, row.op, row.max_lsb, row.ok) for row in parity.operators] == [
        (1, "CONV_2D", 0, True), (3, "CONV_2D", 0, True),
    ]  # fmt: skip
    assert "nothing here executes 2 operators" in parity.words() and "byte for byte" in parity.words()
    assert built.manifest["parity"]["ok"] is None and built.manifest["execution"]["kind"] == "npu"
    result = verify(built.path)
    assert result.ok is None and [check.ok for check in result.checks] == [True, True, True, None]


@pytest.mark.emulator
def test_the_cores_operators_run_in_the_emulator_of_its_board(built: edgekit.Compiled) -> None:
    if not all(toolchain.load(name).found() for name in ("qemu-system-arm", "cortex-m-cc")):
        pytest.skip("no emulator of the core")
    assert built.parity.on == "emulator of mps3-an547"


def test_a_bundle_has_what_the_board_needs(built: edgekit.Compiled) -> None:
    artifact = built.path / "artifact"
    report = json.loads((artifact / "vela.json").read_text())
    assert [row["on"] for row in report["operators"]] == ["npu", "core", "npu", "core"]
    assert "stride" in report["operators"][1]["reason"].lower() and report["operators"][0]["cycles"] > 0
    assert [part["code"] for part in report["parts"]] == ["", "core/core0.c", "", "core/core1.c"]
    assert report["cycles"] == sum(row["cycles"] or 0 for row in report["operators"])
    assert all((artifact / "core" / f"core{n}.{suffix}").is_file() for n in (0, 1) for suffix in "ch")
    words = (artifact / "DEPLOY.md").read_text()
    assert "CONV_2D" in words and "ethos-u55-128" in words and "not executed" in words
    assert "DEPLOY.md" in (built.path / "README.md").read_text()


@pytest.mark.parametrize("name", ["core/core1.c", "network_vela.tflite"])
def test_files_of_another_network_are_refused(built: edgekit.Compiled, tmp_path: Path, name: str) -> None:
    shutil.copytree(built.path, tmp_path / "bundle")
    file = tmp_path / "bundle" / "artifact" / name
    file.write_bytes(file.read_bytes() + b"\n")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    (tmp_path / "bundle" / "manifest.json").unlink()
    for key in ("schema", "files"):
        manifest.pop(key)
    writing.finish(tmp_path / "bundle", manifest)
    result = verify(tmp_path / "bundle")
    assert result.ok is False and f"artifact/{name} is not" in result.checks[-1].detail


def test_wrong_code_of_the_core_fails(built: edgekit.Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(graph: Graph, part: structure.Part, board: target.Target) -> Any:
        other = mixed()
        weights = other.tensors[other.operators[1].inputs[1]]
        weights.data = weights.data ^ np.uint8(1)  # type: ignore[operator]
        return core_planned(other, part, board)

    core_planned = core.planned
    monkeypatch.setattr(core, "code", lambda graph, part, board, number: _Code(built.path, number))
    monkeypatch.setattr(core, "planned", wrong)
    monkeypatch.setattr(core, "board", lambda _: target.load("host"))
    result = verify(built.path)
    assert result.ok is False and result.parity is not None and result.parity.ok is False
    assert result.parity.words().startswith("operator 1 CONV_2D")


class _Code:
    """What the bundle has, whatever else is planned."""

    def __init__(self, path: Path, number: int) -> None:
        self.name = core.name(number)
        self.code = (path / "artifact" / "core" / f"{self.name}.c").read_text()


@pytest.mark.parametrize(("on", "words"), [(None, "those of the NPU"), ("null", "NPU's commands"), ("host", "an NPU")])
def test_outputs_that_nothing_computed_are_not_given(built: edgekit.Compiled, on: str | None, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        run(built.path, on=on)


# Refusals


def refusal(graph: Graph, board: target.Target = U55) -> tuple[str, str]:
    found = vela.Vela().plan(graph, board)
    assert isinstance(found, list)
    return found[0].words(), found[0].remedy


def test_a_network_with_svdf_is_refused_because_of_its_state() -> None:
    b = Builder()
    x = b.tensor((1, 4), "int8", name="x")
    shapes = (((2, 4), np.int8), ((2, 3), np.int16), ((2,), np.int32))
    constants = [b.constant(np.ones(shape, dtype)) for shape, dtype in shapes]
    y = b.add("SVDF", (x, *constants, b.tensor((1, 6), "int16")), (1, 2), dtype="int8")
    words, remedy = refusal(b.graph((x,), (y,)))
    assert "state would be lost" in words and "mps3-an547" in remedy


def test_a_float_network_is_offered_the_recipe() -> None:
    words, remedy = refusal(convolutional())
    assert "computes in float32, and the NPU in integers only" in words and "--recipe int8" in remedy


@pytest.mark.parametrize("board", [U55, U85], ids=lambda board: board.name)
def test_int4_weights_are_refused_because_vela_crashes(board: target.Target) -> None:
    graph = mixed()
    tensor = graph.tensors[graph.operators[2].inputs[1]]
    tensor.dtype, tensor.data = "int4", np.zeros((tensor.elements + 1) // 2, np.uint8)
    words, remedy = refusal(graph, board)
    assert words.startswith("operator 2 CONV_2D: its weights are int4") and "crashes" in words
    assert "--recipe int8" in remedy


def test_an_operator_of_neither_is_named() -> None:
    b = Builder()
    x = b.tensor((1, 6), "int8", name="x", quantization=SCALE)
    y = b.add("RELU", (x,), (1, 6), "int8")
    b.tensors[y].quantization = SCALE
    k = b.constant(np.array(2, np.int32))
    values, places = b.tensor((1, 2), "int8", quantization=SCALE), b.tensor((1, 2), "int32")
    graph = b.graph((x,), (values, places))
    graph.operators.append(Operator("TOPK_V2", (y, k), (values, places)))
    words, remedy = refusal(graph)
    assert words.startswith("operator 1 TOPK_V2: the NPU does not take it") and "rpi4" in remedy


def test_memory_that_is_too_small_is_told_by_how_much(made: bytes, tmp_path: Path) -> None:
    small = replace(U55, npu=replace(U55.neural, sram_kib=1))
    tflite.write(mixed(), tmp_path / "model.tflite")
    planned = vela.Vela().plan(mixed(), small)
    assert not isinstance(planned, list)
    with pytest.raises(ModelError, match=r"has 1 KiB of SRAM, the network takes \d+ KiB: \d+ KiB too many"):
        vela.Vela().build(planned, Request(tmp_path / "model.tflite", tmp_path))


def test_without_vela_the_way_to_install_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "install", lambda *_: "no network")
    tflite.write(mixed(), tmp_path / "net.tflite")
    with pytest.raises(ToolMissing, match=r"ethos-u-vela==5.2.0, which compiles .* no network") as raised:
        edgekit.compile(tmp_path / "net.tflite", targets=["ethos-u55-128"], out=tmp_path)
    assert raised.value.exit_code == 4 and "edgekit doctor --install ethos-u" in raised.value.hint
    assert not list(tmp_path.glob("net.*.ethos*"))


def test_the_lists_name_only_operators_and_rules_that_exist() -> None:
    from edgekit.delegates.rules import RULES

    for name in ("ethos-u55", "ethos-u85"):
        delegate = delegates.load(name)
        for table in delegate.tables:
            assert {rule.split()[0] for rules in table.operators.values() for rule in rules} <= set(RULES)


def test_padded_pools_beyond_eight_rows_stay_on_the_core() -> None:
    b = Pictures()
    x = b.tensor((1, 12, 12, 4), "int8", name="x", quantization=SCALE)
    for size, valid in ((8, False), (9, False), (9, True)):
        shape = (1, 4, 4, 4) if valid else (1, 12, 12, 4)
        y = b.add(
            "AVERAGE_POOL_2D", (x,), shape, "int8", options="Pool2D", filterHeight=size, filterWidth=size, strideH=1,
            strideW=1, padding=int(valid),
        )  # fmt: skip
        b.tensors[y].quantization = SCALE
    graph = b.graph((x,), tuple(i for o in b.operators for i in o.outputs))
    verdicts = vela.predicted(graph, U55)
    assert [v.taken for v in verdicts] == [True, False, True] and "padded window is 9x9" in verdicts[1].reason
