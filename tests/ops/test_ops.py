"""Every operator case on every backend: results, recorded support, and nothing written outside an output."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit import plugins
from edgekit.backends import planned
from edgekit.backends.coreml.operators import KNOWN
from edgekit.codegen.lower import RULES
from edgekit.codegen.program import Placements, Program
from edgekit.graph import Graph
from edgekit.graph.edit import compact
from edgekit.runners import get as get_runner
from edgekit.runners import once
from edgekit.writers import onnx as writers_onnx
from tests.networks.small import Builder
from tests.ops import columns, sentinels
from tests.ops.cases import CASES
from tests.ops.columns import COLUMNS, Column
from tests.ops.support import KINDS, PAGE, counted, recorded, refusals, support


class Cases:
    """The tests of one column; a class per column, so that columns are shared out among workers."""

    column: Column

    @pytest.fixture(autouse=True)
    def _tools(self) -> None:
        if missing := self.column.missing():
            pytest.skip(missing)

    def test_results_are_those_of_the_reference(self) -> None:
        wrong = [f"{row.case.name}: {row.words}" for row in self.column.results if row.status == "wrong"]
        assert not wrong, "\n".join(wrong)
        assert {row.status for row in self.column.results} <= {"ok", "unsupported"}

    def test_support_is_what_the_docs_say(self) -> None:
        """Support that is lost, or gained without a word: ``make ops`` writes the page anew."""
        page = PAGE.read_text()
        cells, refused = recorded(page)
        title, kinds = self.column.title, KINDS[self.column.dtype]
        assert support(self.column) == {k: v for k, v in cells.items() if k[0] == title and k[2] in kinds}
        assert refusals(self.column) == {one for one in refused if one[0] == title and one[1] in kinds}
        assert counted(self.column) in page.splitlines()


class Int8InOnnx(Cases):
    """What TensorRT wants of int8: QuantizeLinear and DequantizeLinear with int8 zero points, all 0."""

    def test_zero_points_are_zero(self, tmp_path: Path) -> None:
        able = [n for n, row in enumerate(self.column.results) if row.status == "ok"]
        graph, _ = columns.source(self.column.source).part(able)
        writers_onnx.write(compact(graph), tmp_path / "model.onnx")
        model = onnx.load(str(tmp_path / "model.onnx")).graph
        kept = {t.name: numpy_helper.to_array(t) for t in model.initializer}
        rounded = [n for n in model.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
        assert rounded and all(kept[n.input[2]].dtype == np.int8 and not kept[n.input[2]].any() for n in rounded)


for one in COLUMNS:
    name = "Test" + "".join(word.capitalize() for word in str(one).split())
    base = Int8InOnnx if one.source == "symmetric" else Cases
    globals()[name] = pytest.mark.slow(type(name, (base,), {"column": one, "__module__": __name__}))


@pytest.mark.slow
def test_typed_kernels_say_all_that_it_takes() -> None:
    """The NumPy interpreter has the reference's bits in every int8 case."""
    rows = columns.interpreted()
    assert not [f"{row.case.name}: {row.status} {row.words}" for row in rows if row.status != "ok"]
    assert sum(any(form.kind == "int8" for form in row.forms) for row in rows) >= 166


def test_every_operator_that_has_a_rule_is_in_the_table() -> None:
    known = {name for name in {*RULES, *KNOWN, *writers_onnx.RULES} if not name.startswith("edgekit.")}
    assert known <= {operator.op for case in CASES for operator in case.graph.operators}


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


NATIVE = [column for column in COLUMNS if column.guards and column.dtype == "float32"]


@dataclass
class Astray(sentinels.Guarded):
    """A program one of whose kernels writes ``shift`` bytes beside its output; ``sound``: the program as it should be.

    The kernel's output has a buffer of its own, ``alias``, placed beside the one that it stands for.
    """

    shift: int = 0
    alias: int = 0
    sound: sentinels.Guarded = field(default_factory=sentinels.Guarded)

    def placements(self, scratch: Sequence[int] = ()) -> Placements:
        placed = super().placements(scratch)
        beside = placed.buffers[self.sound.calls[NODE].args[-1].buffer] + self.shift
        return replace(placed, buffers=placed.buffers | {self.alias: beside})


NODE = 1


def astray(program: Program, shift: int) -> Astray:
    sound = sentinels.guarded(program)
    call = sound.calls[NODE]
    assert call.node == NODE
    output, alias = call.args[-1], len(sound.buffers)
    buffers = [*sound.buffers, sound.buffers[output.buffer]]
    calls = [*sound.calls]
    calls[NODE] = replace(call, args=(*call.args[:-1], replace(output, buffer=alias)))
    return Astray(buffers, calls, sound.inputs, sound.outputs, sound.guards, shift, alias, sound)


def in_a_row() -> Graph:
    b = Builder()
    x = b.tensor((3, 40), name="x")
    y = x
    for op in ("TANH", "EXP", "TANH"):
        y = b.add(op, (y,), (3, 40))
    return b.graph((x,), (y,))


@pytest.mark.slow
@pytest.mark.parametrize("column", NATIVE, ids=str)
@pytest.mark.parametrize("shift", [0, 64, -64])
def test_sentinels_catch_what_is_written_outside_an_output(column: Column, shift: int) -> None:
    """A kernel that writes too far, or too early, and (0) one that does not."""
    if missing := column.missing():
        pytest.skip(missing)
    backend = plugins.get("backends", column.backend)
    plan = planned(backend, in_a_row(), column.target)
    x = np.random.default_rng(0).normal(size=(2, 3, 40)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "artifact").mkdir()
        bundle, program = columns.build_guarded(backend, plan, Path(folder), lambda program: astray(program, shift))
        kept = sentinels.values(program, len(x))
        *_, found = once(get_runner(column.runner), bundle, [x, kept], columns.ONCE).outputs
    assert isinstance(program, Astray)
    assert program.sound.writers(sentinels.damage(kept, found)) == ({NODE} if shift else set())
