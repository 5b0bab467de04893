"""The table's columns: what a backend makes of all cases in one dtype, in one network, built and run once.

A case is ``ok``, ``unsupported`` with the backend's own reason, or ``wrong``. Float32 networks are compiled as they
are, so that operators are folded; in float16 and int8, where roundings add up, each operator is fed with the
reference's values (:mod:`edgekit.graph.explode`), as the proof of a bundle does.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

import edgekit
from edgekit import plugins, target
from edgekit.backends import Backend, Planned, Request, da4ml, gpu, hls4ml, runner_build, tvm, unsupported
from edgekit.backends.c99 import C99
from edgekit.backends.tvm.processors import processor
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import FLOAT_STATE, lower
from edgekit.codegen.program import Program
from edgekit.codegen.schedule import cpu, sharing
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Subgraph, Tensor, tflite
from edgekit.graph.edit import compact
from edgekit.graph.explode import explode
from edgekit.metrics import differences, parity
from edgekit.passes import PassContext
from edgekit.passes.symmetric import Symmetric
from edgekit.reference.litert import reference_outputs, reference_tensors
from edgekit.runners import RunOptions, once
from edgekit.runners import get as get_runner
from edgekit.target import Target
from edgekit.tools import toolchain
from tests.backends import c99_networks
from tests.codegen import streams, unrolled
from tests.codegen.interpreter import Interpreter
from tests.networks.building import quantized
from tests.ops import sentinels
from tests.ops.cases import CASES, Case, Input, described, network

Array = NDArray[Any]
JETSON, NVRTC = "jetson-orin-nano", ("nvrtc", "host-cxx")
ONCE = RunOptions(repeat=0, threads=3)
"""Compiled kernels are divided among threads, however small they are: see :func:`build_guarded`."""


@dataclass(frozen=True)
class Form:
    """An operator of a case; ``kind``: the numbers that it computes in, ``reason``: why it is refused, if it is."""

    op: str
    kind: str
    name: str
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """A cell of the table; ``words``: how far it is off."""

    case: Case
    status: str
    words: str
    forms: tuple[Form, ...]


def interpreted() -> list[Result]:
    """The int8 cases without state on typed kernels alone, interpreted in NumPy: the reference's bits."""
    cases = source("int8")
    kept = [number for number, case in enumerate(cases.cases) if not remembers(case)]
    graph, places = cases.part(kept)
    parts = explode(graph)
    assert parts is not None
    lowered = lower(parts.graph, MICROCONTROLLER)
    samples = [dict(zip(lowered.inputs, (cases.values[i][n] for i in parts.inputs), strict=True)) for n in range(2)]
    refused: dict[int, str] = {}
    wrong: dict[int, str] = {}
    odd = _rounded_otherwise(graph)
    for number, fed in enumerate(samples):
        state = Interpreter(lowered)
        state.values |= {i: x.reshape(lowered.tensors[i].shape) for i, x in fed.items()}
        for kernel in lowered.kernels:
            if kernel.node not in refused:
                try:
                    state.step(kernel)
                except NotImplementedError as error:
                    refused[kernel.node] = str(error)
        for node, index, output in zip(parts.operators, parts.outputs, lowered.outputs, strict=True):
            expected = cases.values[index][number]
            steps = 1 if node in odd else 0
            if node not in refused and not _equal(state.values[output].reshape(expected.shape), expected, steps):
                wrong[node] = f"{graph.operators[node].op} is not bit-exact"
    results = []
    for number, made in zip(kept, places, strict=True):
        case, mine = cases.cases[number], sorted(operators_of(graph, [graph.main.outputs[i] for i in made]))
        no = {at: refused[n] for at, n in enumerate(mine) if n in refused}
        off = [wrong[n] for n in mine if n in wrong]
        status = "unsupported" if no else "wrong" if off else "ok"
        results.append(Result(case, status, "; ".join(off), forms(cases, number, "int8", no)))
    return results


def _rounded_otherwise(graph: Graph) -> set[int]:
    """QUANTIZE in the cases of :data:`ODD`: LiteRT's plain kernels, their reference, round halves to even."""
    odd = [o.outputs[0] for o in graph.operators if o.op in ODD]
    return {n for n, o in enumerate(graph.operators) if o.op == "QUANTIZE" and o.inputs[0] in odd}


def _equal(found: Array, expected: Array, steps: int) -> bool:
    """Integers to ``steps``; floats, which an int8 network has where the recipe leaves them, to 1e-5 of the largest."""
    bound = 1e-5 * float(np.abs(expected).max(initial=1.0)) if expected.dtype.kind == "f" else steps
    return found.dtype == expected.dtype and np.allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=0, atol=bound, equal_nan=True
    )


@dataclass(frozen=True)
class Source:
    """Cases in one Graph with the reference's values.

    :param places: for each case its places among the outputs. :param values: of computed tensors by index.
    """

    cases: tuple[Case, ...]
    graph: Graph
    places: tuple[tuple[int, ...], ...]
    values: dict[int, Array]

    def part(self, cases: Iterable[int]) -> tuple[Graph, list[tuple[int, ...]]]:
        """Some of the cases, and their places."""
        main, kept = self.graph.main, list(cases)
        outputs = tuple(main.outputs[i] for n in kept for i in self.places[n])
        starts = np.cumsum([0, *(len(self.places[n]) for n in kept)])
        needed = operators_of(self.graph, outputs)
        operators = [o for n, o in enumerate(main.operators) if n in needed]
        read = {i for o in operators for i in o.inputs} | {*outputs}
        inputs = tuple(i for i in main.inputs if i in read)
        graph = Graph([Subgraph(main.name, main.tensors, operators, inputs, outputs)])
        return graph, [tuple(range(a, b)) for a, b in pairwise(starts)]


def operators_of(graph: Graph, outputs: Iterable[int]) -> set[int]:
    """The operators that some tensors depend on."""
    makers = {i: n for n, o in enumerate(graph.operators) for i in o.outputs}
    found: set[int] = set()
    waiting = [makers[i] for i in outputs if i in makers]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [makers[i] for i in graph.operators[number].inputs if i in makers]
    return found


ODD = frozenset({"ELU", "CEIL", "ROUND"})
"""LiteRT has no reference kernels for these, and with one of them in a network computes all of it with its plain ones
(:mod:`edgekit.reference.litert`); these round int8 results otherwise. So the reference runs them by themselves."""


def odd(case: Case) -> bool:
    """True if an operator of the case is one of :data:`ODD`."""
    return any(operator.op in ODD for operator in case.graph.operators)


def remembers(case: Case) -> bool:
    """True if an operator of the case has a state, and cannot be fed with the reference's values between others."""
    return any(operator.op in FLOAT_STATE for operator in case.graph.operators)


@cache
def source(form: str) -> Source:
    """All cases of a dtype: ``float32``, ``float16``, ``int8``.

    :param form: also ``narrow``: float32, whole numbers of 16 bits; ``weights16``: float16 with float16
        weights; ``symmetric``: int8 without zero points.
    """
    dtype = {"narrow": "float32", "weights16": "float16", "symmetric": "int8"}.get(form, form)
    cases = [case for case in CASES if dtype in case.dtypes]
    net = network(cases)
    graph, places, inputs = net.graph, net.places, net.values()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if form == "narrow":
            inputs = [x.astype(np.int16).astype(x.dtype) if x.dtype.kind == "i" else x for x in inputs]
        elif form == "weights16":
            tflite.write(graph, folder / "net.tflite")
            (made,) = edgekit.compile(folder / "net.tflite", targets=["host"], recipe="float16", backend="null",
                                      data="random", out=folder)  # fmt: skip
            graph = tflite.read(made.path / "model.tflite")
        elif dtype == "int8":
            raw = [case for case in CASES if "bytes" in case.dtypes and not (form == "symmetric" and remembers(case))]
            other = network(raw)
            cases += raw
            graph = quantized(graph, folder / "int8")
            places += tuple(tuple(len(graph.main.outputs) + i for i in outputs) for outputs in other.places)
            graph = beside(graph, other.graph)
            if form == "symmetric":
                graph = Symmetric().apply(graph, PassContext(data=None, params={}, seed=0)).graph
            rng = np.random.default_rng(1)
            inputs = [Input(t.shape, t.dtype).values(rng, 3) for t in graph.inputs]
        found = Source(tuple(cases), graph, places, dict(zip(graph.main.inputs, inputs, strict=True)))
        computed: dict[int, Array] = {}
        for alone in (True, False):
            numbers = [n for n, case in enumerate(cases) if alone == odd(case)]
            part, _ = found.part(numbers)
            tflite.write(part, folder / "part.tflite")
            computed |= reference_tensors(folder / "part.tflite", [found.values[i] for i in part.main.inputs])
    return replace(found, values=found.values | computed)


def beside(a: Graph, b: Graph) -> Graph:
    """Two networks as one."""
    shift = len(a.tensors)

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i + shift if i >= 0 else i for i in indices)

    tensors = [*a.tensors, *(replace(t, name=f"{t.name}/b") for t in b.tensors)]
    operators = [*a.operators, *(replace(o, inputs=moved(o.inputs), outputs=moved(o.outputs),
                                         intermediates=moved(o.intermediates)) for o in b.operators)]  # fmt: skip
    ends = [(*getattr(a.main, side), *moved(getattr(b.main, side))) for side in ("inputs", "outputs")]
    return Graph([Subgraph(a.main.name, tensors, operators, *ends)])


@dataclass(frozen=True)
class Column:
    """A backend in one dtype.

    :param title: the backend as the documentation names it. :param source: see :func:`source`.
    :param tolerance: of float results, relative to the largest magnitude; 0: as the proof of a bundle has it.
    :param needs: toolchains, or Python packages, without which it cannot be built and run.
    :param guards: its programs are run between sentinels.
    """

    title: str
    dtype: str
    backend: str
    board: str
    runner: str
    source: str
    needs: tuple[str, ...] = ()
    guards: bool = False
    tolerance: float = 0.0

    def __str__(self) -> str:
        return f"{self.title} {self.dtype}"

    @cached_property
    def target(self) -> Target:
        """The board; of logic one of any size, as how large a network may be is not an operator's matter."""
        found = target.load(self.board)
        return replace(found, logic=replace(found.logic, products=1 << 31)) if found.logic else found

    @property
    def apart(self) -> bool:
        """Each operator is fed with the reference's values."""
        return self.dtype != "float32"

    def bounds(self, half: bool) -> differences.Bounds:
        """What a result may be off by; ``half``: it is computed in float16."""
        usual = differences.HALF if half else differences.Bounds()
        return replace(usual, tolerance=self.tolerance or usual.tolerance)

    def missing(self) -> str:
        """What is not installed; empty if nothing."""
        for name in self.needs:
            if importlib.util.find_spec(name) is None and not _tool(name):
                return f"{name} is not installed"
        return ""

    @cached_property
    def results(self) -> list[Result]:
        """All cells, cases in the table's order; built and run once."""
        return computed(self)


def _tool(name: str) -> bool:
    return name in toolchain.names() and bool(toolchain.load(name).found())


def computed(column: Column) -> list[Result]:
    """Build and run a column."""
    cases = source(column.source)
    board, backend = column.target, plugins.get("backends", column.backend)
    half = backend.exactness(cases.graph).half_activations
    asked = [number for number, case in enumerate(cases.cases) if not (half and case.wide)]
    refused: dict[int, dict[int, str]] = {}
    for number in asked:
        part = compact(cases.part([number])[0])
        if missing := unsupported(backend, part, board):
            refused[number] = {one.index % len(part.operators): one.reason for one in missing}
    wrong: dict[int, str] | None = None
    while wrong is None:
        kept = [n for n in asked if n not in refused]
        try:
            wrong = judged(column, backend, cases, kept) if kept else {}
        except Refused as refusal:
            owner = owners(cases, kept)
            number = owner[refusal.operator]
            mine = sorted(n for n in owner if owner[n] == number)
            refused[number] = {mine.index(refusal.operator): refusal.reason}
    results = []
    for number in asked:
        status = "unsupported" if number in refused else "wrong" if wrong.get(number) else "ok"
        found = forms(cases, number, column.dtype, refused.get(number, {}))
        results.append(Result(cases.cases[number], status, wrong.get(number, ""), found))
    return results


def forms(cases: Source, number: int, dtype: str, refused: Mapping[int, str]) -> tuple[Form, ...]:
    """A case's operators, those that the recipe added left out.

    :param refused: reasons by operator. Where one is refused, nothing is known of the others.
    """
    graph, _ = cases.part([number])
    left = list(range(len(graph.operators)))
    found = []
    for operator in cases.cases[number].graph.operators:
        position = next((n for n in left if graph.operators[n].op == operator.op), None)
        if position is None:
            continue
        left.remove(position)
        if not refused or position in refused:
            reason = re.sub(r"'t\d+\S*'", "a tensor", refused.get(position, ""))
            kind = kind_of(graph, graph.operators[position], dtype)
            found.append(Form(operator.op, kind, described(cases.cases[number].graph, operator), reason))
    return tuple(found)


def kind_of(graph: Graph, operator: Operator, dtype: str) -> str:
    """What an operator computes in; ``float32`` in an int8 network where edgekit's recipe leaves it so."""
    inputs = [graph.tensors[i] for i in operator.inputs if i >= 0 and graph.tensors[i].data is None]
    kinds = [t.dtype for t in (*inputs, *(graph.tensors[i] for i in operator.outputs))]
    if "int8" in kinds or "uint8" in kinds:
        return "int8"
    first = next((t.dtype for t in inputs if t.dtype != "bool"), kinds[0])
    return dtype if first == "float32" and dtype != "int8" else first


def judged(column: Column, backend: Backend, cases: Source, kept: Sequence[int]) -> dict[int, str]:
    """Build and run the supported cases; return in words what is wrong with some, by number."""
    if not column.apart:
        return judged_whole(column, backend, cases, kept)
    groups = [[n for n in kept if remembers(cases.cases[n]) == whole] for whole in (True, False)]
    wrong = judged_whole(column, backend, cases, groups[0]) if groups[0] else {}
    return wrong | (judged_apart(column, backend, cases, groups[1]) if groups[1] else {})


def judged_whole(column: Column, backend: Backend, cases: Source, kept: Sequence[int]) -> dict[int, str]:
    """The cases as they are."""
    graph, places = cases.part(kept)
    outputs, damaged = run(column, backend, graph, [cases.values[i] for i in graph.main.inputs])
    exact = column.apart and backend.exactness(graph).bit_exact
    bounds = differences.EXACT if exact else column.bounds(False)
    owner = owners(cases, kept)
    wrong = {owner[n]: "it writes outside its output" for n in damaged}
    for number, made in zip(kept, places, strict=True):
        for place in made:
            tensor, expected = graph.outputs[place], cases.values[graph.main.outputs[place]]
            if words := off(tensor, expected, outputs[place], bounds):
                wrong.setdefault(number, words)
    return wrong


def judged_apart(column: Column, backend: Backend, cases: Source, kept: Sequence[int]) -> dict[int, str]:
    """Each operator of the cases by itself."""
    graph, places = cases.part(kept)
    parts = explode(graph)
    assert parts is not None and len(parts.graph.operators) == len(graph.operators)
    fed = [cases.values[i] for i in parts.inputs]
    expected_values = [cases.values[i] for i in parts.outputs]
    half = backend.exactness(parts.graph).half_activations
    if half:
        fed = [x.astype(np.float16).astype(np.float32) if x.dtype == np.float32 else x for x in fed]
        expected_values = reference_of(parts.graph, fed)
    outputs, damaged = run(column, backend.isolated() if half else backend, parts.graph, fed)
    usual = column.bounds(half)
    plain, _ = cases.part(n for n in kept if not odd(cases.cases[n]))
    judged_by = [differences.EXACT, usual] if backend.exactness(plain).bit_exact else [usual]
    owner = owners(cases, kept)
    every = [parity.compare_operators(graph, parts.operators, parts.outputs, expected_values, outputs, bounds)
             for bounds in judged_by]  # fmt: skip
    rows = [some[-1] if odd(cases.cases[owner[some[0].index]]) else some[0] for some in zip(*every, strict=True)]
    bad = {row.index: f"{row.op}: {row.reason or f'off by {row.max_lsb} steps, {row.max_relative:.2g}'}"
           for row in rows if not row.ok}  # fmt: skip
    bad |= {n: f"{graph.operators[n].op}: it writes outside its output" for n in damaged}
    wrong = {}
    for number, made in zip(kept, places, strict=True):
        mine = operators_of(graph, [graph.main.outputs[i] for i in made])
        if found := [bad[n] for n in sorted(mine & set(bad))]:
            wrong[number] = "; ".join(found)
    return wrong


class Refused(Exception):
    """A backend refused a network while building it; ``operator``: the one that it named, by itself or by a tensor."""

    def __init__(self, graph: Graph, error: ModelError) -> None:
        super().__init__(error.message)
        number = re.match(r"operator (\d+) \(\w+\) cannot be compiled.*?: (.*)", error.message)
        tensor = re.fullmatch(r"(the step of )'(t\d+)(/given)?'( is too .*)", error.message)
        if number:
            self.operator, self.reason = int(number[1]), number[2]
        elif tensor:
            names = [{graph.tensors[i].name.split("/")[0] for i in o.outputs} for o in graph.operators]
            self.operator, self.reason = (
                next(n for n, made in enumerate(names) if tensor[2] in made),
                (f"{tensor[1]}its result{tensor[4]}"),
            )
        else:
            raise error


def owners(cases: Source, kept: Sequence[int]) -> dict[int, int]:
    """The case of each operator of the network of some cases; of one that several share, the last."""
    graph, places = cases.part(kept)
    return {n: number for number, made in zip(kept, places, strict=True)
            for n in operators_of(graph, [graph.main.outputs[i] for i in made])}  # fmt: skip


def off(tensor: Tensor, expected: Array, found: Array, bounds: differences.Bounds) -> str:
    """How an output is off, in words; empty where it is not."""
    if expected.size > 1 and np.unique(expected).size == 1:
        return f"the case says nothing: the reference makes {expected.flat[0]} only"
    row = differences.difference(tensor, expected, found, bounds)
    return "" if row.ok else f"off by {row.max_abs:.2g}, {row.max_relative:.2g} relative"


def reference_of(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    with tempfile.TemporaryDirectory() as name:
        tflite.write(graph, Path(name) / "net.tflite")
        return reference_outputs(Path(name) / "net.tflite", inputs)


def run(column: Column, backend: Backend, graph: Graph, inputs: Sequence[Array]) -> tuple[list[Array], set[int]]:
    """Build and run a network; return its outputs, and the operators that wrote outside theirs."""
    graph = compact(graph)
    if isinstance(backend, C99):
        return run_c99(graph, inputs)
    if backend.splits:
        return run_in_parts(column, backend, graph, inputs), set()
    plan = backend.plan(graph, column.target)
    assert not isinstance(plan, list), plan
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "artifact").mkdir()
        if not column.guards:
            try:
                bundle = build(backend, plan, folder)
            except ModelError as error:
                raise Refused(graph, error) from error
            return once(get_runner(column.runner), bundle, inputs, ONCE).outputs, set()
        bundle, program = build_guarded(backend, plan, folder)
        kept = sentinels.values(program, len(inputs[0]))
        *outputs, found = once(get_runner(column.runner), bundle, [*inputs, kept], ONCE).outputs
        damage = sentinels.damage(kept, found)
        writers = program.writers(damage)
        assert writers.isdisjoint({-1}) and (writers or not damage.any()), "something writes outside its buffer"
        return outputs, writers


def run_in_parts(column: Column, backend: Backend, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """:func:`run` for independent operators that do not fit on the chip side by side: as many at once as do."""
    given = dict(zip(graph.main.inputs, inputs, strict=True))
    waiting, found = [graph.main.outputs], {}
    while waiting:
        some = waiting.pop()
        main, needed = graph.main, operators_of(graph, some)
        operators = [o for n, o in enumerate(main.operators) if n in needed]
        read = {i for o in operators for i in o.inputs}
        fed = tuple(i for i in main.inputs if i in read)
        part = Graph([Subgraph(main.name, main.tensors, operators, fed, some)])
        plan = backend.plan(compact(part), column.target)
        if isinstance(plan, list):
            assert len(some) > 1, plan
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
            continue
        values = [given[i] for i in fed]
        if isinstance(plan, da4ml.Plan):
            made = in_numpy(plan, lambda inputs, plan=plan: unrolled.run(plan.program, inputs), values)
        elif isinstance(plan, hls4ml.Plan):
            made = in_numpy(plan, lambda inputs, plan=plan: streams.run(plan.program, inputs), values)
        else:
            with tempfile.TemporaryDirectory() as name:
                (Path(name) / "artifact").mkdir()
                made = once(get_runner(column.runner), build(backend, plan, Path(name)), values, ONCE).outputs
        found |= dict(zip(some, made, strict=True))
    return [found[i] for i in graph.main.outputs]


def in_numpy(
    plan: da4ml.Plan | hls4ml.Plan, run: Callable[[list[Array]], Sequence[Array]], inputs: Sequence[Array]
) -> list[Array]:
    """What a program of integers means; what da4ml and hls4ml make of programs is simulated in their own tests.

    :param run: of one sample.
    """
    part, main, samples = plan.parts.device, plan.graph.main, len(inputs[0])
    assert part is not None and not plan.parts.host
    given = dict(zip(main.inputs, inputs, strict=True))
    rows = [run([given[i][n] for i in part.inputs]) for n in range(samples)]
    made = {i: np.stack([row[n] for row in rows]) for n, i in enumerate(part.outputs)}
    shapes = [plan.graph.tensors[i].shape for i in main.outputs]
    return [made[i].reshape(samples, *shape).astype(np.int8) for i, shape in zip(main.outputs, shapes, strict=True)]


def run_c99(graph: Graph, inputs: Sequence[Array]) -> tuple[list[Array], set[int]]:
    """:func:`run` for networks in C, in an arena where every buffer lies between guards."""
    with tempfile.TemporaryDirectory() as name:
        network = c99_networks.compiled(c99_networks.scheduled(graph), Path(name))
        runs = [network.guarded_run([x[n] for x in inputs]) for n in range(len(inputs[0]))]
    outputs = [np.stack(values) for values in zip(*(made for made, _ in runs), strict=True)]
    return outputs, set().union(*(writers for _, writers in runs))


def build(backend: Backend, plan: Planned, folder: Path) -> Bundle:
    tflite.write(plan.graph, folder / "model.tflite")
    artifact = backend.build(plan, Request(folder / "model.tflite", folder / "artifact"))
    execution = artifact.execution.json()
    manifest = {
        "target": plan.target.name,
        "backend": backend.name,
        "execution": execution,
        "runtime": artifact.runtime,
    }
    return Bundle(folder, manifest)


def build_guarded(
    backend: Backend, plan: Planned, folder: Path, guard: Callable[[Program], sentinels.Guarded] = sentinels.guarded
) -> tuple[Bundle, sentinels.Guarded]:
    """Build a native program between sentinels."""
    artifact = folder / "artifact"
    if isinstance(plan, gpu.Plan):
        program = guard(plan.program)
        execution = backend.build(replace(plan, program=program), Request(folder, artifact)).execution
    else:
        assert isinstance(plan, tvm.Plan) and plan.network is not None
        made = processor(plan.target)
        program = guard(cpu.schedule(plan.network, made.machine, {}))
        with mock.patch.object(sharing, "STEPS", 1):
            tvm.link(tvm.compiled(program, made), plan.target, artifact / tvm.LIBRARY)
        runner = runner_build.get(runner_build.native_arch(plan.target.arch)).path
        runner_build.put(runner, artifact, runner_build.NAME, 0o755)
        execution = Execution(Kind.LIBRARY, runner_command(tvm.LIBRARY, model=False), tvm.LIBRARY, divided=True)
    tflite.write(sentinels.with_port(plan.graph, program), folder / "model.tflite")
    manifest = {"target": plan.target.name, "backend": backend.name, "execution": execution.json()}
    return Bundle(folder, manifest), program


COLUMNS = (
    Column("LiteRT", "float32", "litert", "host", "host", "float32"),
    Column("LiteRT", "int8", "litert", "host", "host", "int8"),
    Column("TVM", "float32", "tvm", "host", "host", "float32", ("tvm",), guards=True),
    Column("TVM", "int8", "tvm", "host", "host", "int8", ("tvm",), guards=True),
    Column("C99", "float32", "c99", "host", "host", "float32"),
    Column("C99", "int8", "c99", "host", "host", "int8"),
    Column("OpenCL", "float32", "opencl", "mali-g610", "pocl", "float32", ("pocl",), guards=True),
    Column("OpenCL", "float16", "opencl-f16", "mali-g610", "pocl", "float16", ("pocl",), guards=True),
    Column("OpenCL", "int8", "opencl", "mali-g610", "pocl", "int8", ("pocl",), guards=True),
    Column("CUDA", "float32", "cuda", JETSON, "cuda-emulator", "float32", NVRTC, guards=True, tolerance=1e-5),
    Column("CUDA", "float16", "cuda-f16", JETSON, "cuda-emulator", "float16", NVRTC, guards=True, tolerance=2e-3),
    Column("CUDA", "int8", "cuda", JETSON, "cuda-emulator", "int8", NVRTC, guards=True),
    Column("Core ML", "float32", "coreml", "ios", "mil", "narrow", ("coremltools",)),
    Column("Core ML", "float16", "coreml", "ios", "mil", "weights16", ("coremltools",)),
    Column("Core ML", "int8", "coreml", "ios", "mil", "int8", ("coremltools",)),
    Column("TensorRT", "float32", "tensorrt", JETSON, "onnx", "narrow", ("onnxruntime",), tolerance=1e-5),
    Column("TensorRT", "float16", "tensorrt-f16", JETSON, "onnx", "float16", ("onnxruntime",), tolerance=2e-3),
    Column("TensorRT", "int8", "tensorrt", JETSON, "onnx", "symmetric", ("onnxruntime",)),
    Column("FPGA", "int8", "overlay", "ecp5-85f", "verilator", "int8", ("verilator", "host-cxx")),
    Column("da4ml", "int8", "da4ml", "da4ml", "verilator", "int8"),
    Column("hls4ml", "int8", "hls4ml", "zynq-hls4ml", "csim", "int8"),
)
