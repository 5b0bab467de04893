"""Delegates: which operators of a network an accelerator supports, and which stay on the CPU, before anything is run.

A delegate (a phone's GPU, XNNPACK, an Edge TPU) is a table of operators with their limits, read from
``compile/delegates/*.toml``, which names the source and its version. The limits are named rules (:mod:`.rules`).
What a table says is what its vendor published; the device's own answer may be stricter, and is the last word.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from edgekit import plugins, resources
from edgekit.delegates.node import Node
from edgekit.delegates.rules import refusal
from edgekit.errors import UsageError
from edgekit.graph.edit import folded
from edgekit.graph.stats import statistics

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.graph.stats import OperatorStats
    from edgekit.target import Target

BOUNDARY = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclass(frozen=True)
class Table:
    """Operators that are supported if all their values have one of ``dtypes``.

    :param operators: for each operator the rules that must hold, ``"rule argument..."`` each.
    """

    dtypes: tuple[str, ...]
    operators: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Delegate:
    """One accelerator's published table.

    :param partition: ``any``: every operator that fits is taken, wherever it stands. ``first``: what depends on an
        operator that stays on the CPU stays there, too.
    :param general: rules for every operator.
    :param memory_bytes: what its own memory holds of the parameters; None: no such limit.
    :param refused: operators that are known to stay on the CPU, with the reason.
    :param unlisted: what is said of operators that neither a table nor ``refused`` names.
    """

    name: str
    description: str
    version: str
    source: str
    partition: str
    general: tuple[str, ...]
    tables: tuple[Table, ...]
    memory_bytes: int | None = None
    remarks: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    unlisted: str = "it is not in the list"


@dataclass(frozen=True)
class Verdict:
    """Whether an operator is supported; if not, ``reason`` says why."""

    index: int
    operator: str
    name: str
    macs: int
    taken: bool
    reason: str = ""


@dataclass(frozen=True)
class Advice:
    """What a delegate supports of a network.

    :param partitions: pieces the network is cut into for the accelerator: each costs a hand-over and back.
    :param parameter_bytes: constants of the operators that are taken.
    """

    delegate: Delegate
    verdicts: tuple[Verdict, ...]
    partitions: int
    parameter_bytes: int

    @property
    def share(self) -> float:
        """Share of the MACs on the accelerator, 0..1; of the operators, if the network has no MACs."""
        total = sum(v.macs for v in self.verdicts)
        if total:
            return sum(v.macs for v in self.verdicts if v.taken) / total
        return sum(v.taken for v in self.verdicts) / max(1, len(self.verdicts))

    @property
    def left(self) -> list[Verdict]:
        """The operators that stay on the CPU."""
        return [v for v in self.verdicts if not v.taken]

    @property
    def fits(self) -> bool | None:
        """Whether the parameters fit in the accelerator's own memory; None if that has no limit."""
        limit = self.delegate.memory_bytes
        return None if limit is None else self.parameter_bytes <= limit

    def words(self) -> str:
        """Summarize in one line."""
        taken = len(self.verdicts) - len(self.left)
        text = f"{taken} of {len(self.verdicts)} operators, {percent(self.share)} of the MACs"
        if self.partitions > 1:
            text += f", in {self.partitions} partitions"
        if self.fits is not None and self.delegate.memory_bytes is not None:
            verb = "fit" if self.fits else "do not fit"
            text += f"; {_mib(self.parameter_bytes)} of parameters {verb} in {_mib(self.delegate.memory_bytes)} on chip"
        return text

    def json(self) -> dict[str, Any]:
        """Return the delegate's entry under ``delegates`` in JSON and manifest."""
        d = self.delegate
        return {
            "name": d.name, "version": d.version, "source": d.source, "words": self.words(),
            "share": self.share, "partitions": self.partitions, "parameter_bytes": self.parameter_bytes,
            "memory_bytes": d.memory_bytes, "fits": self.fits, "remarks": list(d.remarks),
            "operators": [asdict(v) for v in self.verdicts],
        }  # fmt: skip


def percent(share: float) -> str:
    """Format a share: 100 % and 0 % only if they are exact."""
    shown = f"{100 * share:.1f}"
    if shown == "100.0" and share < 1:
        return "over 99.9 %"
    return f"{shown.removesuffix('.0')} %"


def _mib(count: int) -> str:
    return f"{count / 2**20:.2f} MiB" if count >= 2**20 / 10 else f"{count / 2**10:.1f} KiB"


def names() -> list[str]:
    """Names of all delegates, sorted."""
    return sorted(path.stem for path in resources.folder("compile").glob("delegates/*.toml"))


@cache
def load(name: str) -> Delegate:
    """Read a delegate's table.

    :raises UsageError: if there is none by that name, or its file is wrong.
    """
    if name not in names():
        raise UsageError(f"there is no delegate named {name!r}", plugins.nearest(name, names()))
    path = resources.folder("compile") / "delegates" / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text())
        if data["schema"] != 1 or data.get("partition", "any") not in ("any", "first"):
            raise UsageError(f"{path}: schema must be 1, and partition must be any or first")
        tables = [
            Table(tuple(t["dtypes"]), {op: tuple(rules) for op, rules in t["operators"].items()}) for t in data["table"]
        ]
        return Delegate(
            name, data["description"], data["version"], data["source"], data.get("partition", "any"),
            tuple(data.get("general", [])), tuple(tables), data.get("memory_bytes"), tuple(data.get("remarks", [])),
            data.get("refused", {}), data.get("unlisted", Delegate.unlisted),
        )  # fmt: skip
    except (tomllib.TOMLDecodeError, KeyError, OSError) as error:
        raise UsageError(f"{path}: not a delegate: {error}", "docs/phones.md lists the keys") from error


def for_target(graph: Graph, target: Target) -> list[Advice]:
    """Return what each of the target's ``delegates`` supports of the network."""
    return [advise(graph, load(name)) for name in target.delegates]


def advise(graph: Graph, delegate: Delegate) -> Advice:
    """Judge every operator of the main subgraph."""
    rows = statistics(graph).operators
    constants = folded(graph)
    own = [_own_reason(graph, index, delegate, constants) for index in range(len(rows))]
    if delegate.partition == "first":
        own = _after_refusals(graph, own)
    verdicts = tuple(Verdict(r.index, r.op, r.name, max(0, r.macs), not own[r.index], own[r.index]) for r in rows)
    taken = {v.index for v in verdicts if v.taken}
    return Advice(delegate, verdicts, _partitions(graph, taken), _parameters(graph, taken, rows))


def _own_reason(graph: Graph, index: int, delegate: Delegate, constants: frozenset[int]) -> str:
    """Return why the operator itself is not supported; empty if it is."""
    operator = graph.operators[index]
    tables = [table for table in delegate.tables if operator.op in table.operators and not operator.custom]
    if not tables:
        return delegate.refused.get(operator.op, delegate.unlisted)
    reasons = []
    for table in tables:
        node = Node(graph, operator, table.dtypes, constants)
        reason = refusal(node, ("dtypes", *delegate.general, *table.operators[operator.op]))
        if not reason:
            return ""
        reasons.append(reason)
    # Of several tables, that one speaks which has the operator's types.
    return next((r for r in reasons if "but the list is of" not in r), reasons[0])


def _after_refusals(graph: Graph, own: list[str]) -> list[str]:
    """Add the operators that depend on a refused one.

    A QUANTIZE of a network input does not count as refused: it stays on the CPU, and the accelerator's part begins
    after it.
    """
    inputs = set(graph.main.inputs)
    on_cpu: dict[int, int] = {}
    reasons = []
    for index, (operator, reason) in enumerate(zip(graph.operators, own, strict=True)):
        behind = next((on_cpu[i] for i in operator.inputs if i in on_cpu), None)
        if not reason and behind is not None:
            reason = f"it depends on operator {behind}, which stays on the CPU"
        at_start = operator.op in BOUNDARY and all(i in inputs for i in operator.inputs)
        if reason and not at_start:
            on_cpu.update(dict.fromkeys(operator.outputs, index if behind is None else behind))
        reasons.append(reason)
    return reasons


def _partitions(graph: Graph, taken: set[int]) -> int:
    """Return the number of partitions in execution order: runs of supported operators."""
    order = range(len(graph.operators))
    return sum(index in taken and index - 1 not in taken for index in order)


def _parameters(graph: Graph, taken: set[int], rows: tuple[OperatorStats, ...]) -> int:
    """Return the bytes of the constants that the supported operators read, each counted once."""
    found: dict[int, int] = {}
    for row in rows:
        if row.index in taken:
            for i in graph.operators[row.index].inputs:
                if i >= 0 and (data := graph.tensors[i].data) is not None:
                    found[i] = data.size
    return sum(found.values())
