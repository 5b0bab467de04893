"""Tables of the benchmarks: means, standard errors, differences seed by seed, markers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of bench/ and forgets what came with it."""
    monkeypatch.syspath_prepend(BENCH)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (BENCH / f"{name}.py").is_file():
            del sys.modules[name]


@pytest.fixture
def tables(bench: Any) -> Any:
    return bench("compression_tables")


def result(method: str, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    sizes = {"bytes": 4000, "packed": 3000, "macs": 100, "parameters": 10, "seconds": 2.0}
    return {"network": "mnist", "method": method, "seed": seed, "accuracy": accuracy} | sizes | more


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_losses_are_taken_seed_by_seed(tables: Any) -> None:
    """0.90 -> 0.89 and 0.98 -> 0.97: the mean falls by one point, and there is no doubt about it."""
    rows = [result("float", 0, 0.90), result("float", 1, 0.98)]
    rows += [result("prune", 0, 0.89, macs=50, bytes=2000), result("prune", 1, 0.97, macs=50, bytes=2000)]
    whole, pruned = cells(tables.tables(rows, [])["pruning"])
    assert whole[2] == "94.00 ± 4.00"
    assert pruned[2:6] == ["93.00 ± 4.00", "1.00 ± 0.00", "2", "50%"]
    assert pruned[6] == "2"


def test_a_gain_is_compared_with_its_own_error(tables: Any) -> None:
    rows = [result("few-labels", n, a) for n, a in enumerate((0.5, 0.6, 0.7))]
    rows += [result("few-taught", n, a) for n, a in enumerate((0.6, 0.72, 0.78))]
    (row,) = cells(tables.tables(rows, [])["distillation"])
    assert row[2:] == ["3", "60.00 ± 5.77", "70.00 ± 5.29", "10.00 ± 1.15", "8.7"]


def test_costs_are_medians_and_their_ratios(tables: Any) -> None:
    rows = [
        {"network": "mnist", "way": way, "wall_ms": wall, "processor_ms": wall / 2, "peak_mb": 100.0}
        for way, times in (("keras", (10, 10, 99)), ("finetune", (12, 13, 50)))
        for wall in times
    ]
    keras, mine = cells(tables.tables([], rows)["cost"])
    assert keras[2:4] == ["10.0", "1.00"]
    assert mine[2:] == ["13.0", "1.30", "6.5", "1.30", "100 MB", "1.00"]


def test_only_what_is_between_markers_changes(bench: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- table: a -->\nold\n<!-- /table: a -->\nbetween\n<!-- table: b -->\n<!-- /table: b -->\n"
    )
    bench("page").write(page, {"a": "new \\1", "c": "nowhere"})
    assert page.read_text() == (
        "before\n<!-- table: a -->\nnew \\1\n<!-- /table: a -->\nbetween\n<!-- table: b -->\n<!-- /table: b -->\n"
    )


def test_turns_are_compared_within_a_round(bench: Any) -> None:
    """The machine slows down to half from the second round on: the ratios do not see it."""
    compiled = bench("compiled")
    rounds = [(10.0, 5.0, 5.0), (20.0, 10.0, 10.2), (22.0, 11.0, 11.0)]
    one = compiled.Turns("net", "int8", "tvm", rounds)
    assert one.medians == (20.0, 10.0, 10.2)
    assert (one.ratio, one.auto) == (0.5, 1.0)
    slower = compiled.Turns("net", "int8", "tvm", [(10.0, 12.0, 12.0)] * 3)
    assert (slower.ratio, slower.auto) == (1.2, 1.2), "auto chose the wrong one, and that is told"


def test_geometric_means_are_of_one_dtype(bench: Any) -> None:
    compiled = bench("compiled")
    turns = [
        compiled.Turns("a", "fp32", "tvm", [(1.0, 0.5, 0.5)]),
        compiled.Turns("b", "fp32", "litert", [(1.0, 2.0, 1.0)]),
        compiled.Turns("a", "int8", "tvm", [(1.0, 0.25, 0.25)]),
    ]
    *rows, fp32, int8 = cells(compiled.host_table(turns))
    assert [row[4] for row in rows] == ["0.50", "2.00", "0.25"]
    assert fp32[0] == "geometric mean fp32" and fp32[4] == "1.00"
    assert int8[4] == "0.25"
    assert compiled.missed(turns) == ["b fp32: 2.00 of LiteRT's time"]
