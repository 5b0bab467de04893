"""What the table's results say of each backend's support, as ``docs/operators.md`` records it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.ops.cases import CASES
from tests.ops.columns import COLUMNS, Column

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
BEGIN, END = "<!-- made by make ops -->", "<!-- end -->"
KINDS = {"float32": ("float32", "int32", "int64", "bool"), "float16": ("float16",), "int8": ("int8",)}
"""What a column of each dtype tells of."""
TITLES = tuple(dict.fromkeys(column.title for column in COLUMNS))

Support = dict[tuple[str, str, str], str]
"""By backend, operator and kind of number: ``all`` forms, or ``2 of 3``; nothing where none is supported."""
Refusals = set[tuple[str, str, str, str]]
"""Backend, kind of number, form and reason, where other forms of the operator and kind are supported."""


def support(column: Column) -> Support:
    """What a column's results say."""
    found: Support = {}
    for (op, kind), reasons in _grouped(column).items():
        able = sum(not reason for reason in reasons.values())
        if able:
            found[column.title, op, kind] = "all" if able == len(reasons) else f"{able} of {len(reasons)}"
    return found


def refusals(column: Column) -> Refusals:
    """The forms that a column refuses although it takes others of the operator."""
    cells = support(column)
    groups = [(kind, reasons) for (op, kind), reasons in _grouped(column).items() if (column.title, op, kind) in cells]
    return {(column.title, kind, name, why) for kind, reasons in groups for name, why in reasons.items() if why}


def _grouped(column: Column) -> dict[tuple[str, str], dict[str, str]]:
    """For each operator and kind of number: its forms, and why each is refused."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for row in column.results:
        for form in row.forms:
            if form.kind in KINDS[column.dtype]:
                groups.setdefault((form.op, form.kind), {})[form.name] = form.reason
    return groups


def counted(column: Column) -> str:
    """A row of the page: how many cases a column runs, and how many of them are supported."""
    able = sum(row.status == "ok" for row in column.results)
    return f"| {column.title} | {column.dtype} | {len(column.results)} | {able} |"


def tables(columns: Iterable[Column]) -> str:
    """The generated part of the page."""
    cells: Support = {}
    refused: Refusals = set()
    counts = []
    for column in columns:
        counts.append(counted(column))
        cells |= support(column)
        refused |= refusals(column)
    order = [kind for kinds in KINDS.values() for kind in kinds]
    lines = [f"| Operator | {' | '.join(TITLES)} |", "|---" * (len(TITLES) + 1) + "|"]
    for op in sorted({operator.op for case in CASES for operator in case.graph.operators}):
        row = []
        for title in TITLES:
            kinds = [kind for kind in order if (title, op, kind) in cells]
            row.append(", ".join(_cell(kind, cells[title, op, kind]) for kind in kinds))
        lines.append(f"| `{op}` | {' | '.join(row)} |")
    lines += ["", "### Number of cases", "", "| Backend | Type | Cases | Supported |", "|---|---|---:|---:|", *counts]
    lines += ["", "### Refused forms", "", "| Backend | Type | Form | Reason |", "|---|---|---|---|"]
    lines += [f"| {title} | {kind} | `{name}` | {reason} |" for title, kind, name, reason in sorted(refused)]
    return "\n".join(lines)


def _cell(kind: str, cell: str) -> str:
    return kind if cell == "all" else f"{kind} ({cell})"


def recorded(text: str) -> tuple[Support, Refusals]:
    """What the page says."""
    main, rest = text.split(BEGIN)[1].split(END)[0].split("### Refused forms")
    cells: Support = {}
    for op, row in re.findall(r"^\| `(\w+)` \| (.*) \|$", main, re.M):
        for title, cell in zip(TITLES, row.split(" | "), strict=True):
            for kind, part in re.findall(r"(\w+)(?: \((\d+ of \d+)\))?", cell):
                cells[title, op, kind] = part or "all"
    rows = re.findall(r"^\| (.+?) \| (\w+) \| `(.+?)` \| (.*) \|$", rest, re.M)
    return cells, set(rows)


def written(text: str, columns: Iterable[Column]) -> str:
    """The page with tables made anew."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables(columns)}\n{END}{rest.split(END)[1]}"
