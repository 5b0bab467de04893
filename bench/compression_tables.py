"""The tables of docs/compression.md, from the kept results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from compression_methods import METHODS

Row = Mapping[str, Any]
TITLES = {"mnist": "MNIST example", "mobile": "MobileNetV2-like"}
GROUPS = {
    "quantization": ("float", "int8", "qat", "int4", "qat-w4", "int16"),
    "sparsity": ("float", *(f"sparse-{p}{w}" for p in ("half", "2:4", "block") for w in ("", "-trained", "-distil"))),
    "pruning": ("float", "prune", "prune-finetune", "prune-distil", "prune-distil-int8"),
    "low-rank": ("float", "low-rank", "low-rank-finetune"),
}
TASKS = {
    "few": "300 labelled digits",
    "noisy": "2,000 digits, two of five labels wrong",
}
COSTS = {
    "keras": "Keras, `model.fit`", "finetune": "edgekit, `finetune`", "qat": "edgekit, `qat`",
    "finetune 2 workers": "edgekit, `finetune`, two workers",
}  # fmt: skip


def mean(values: Sequence[float]) -> str:
    """Mean and standard error."""
    return f"{statistics.fmean(values):.2f} ± {error(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def error(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for a single value."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def tables(rows: Iterable[Row], costs: Sequence[Row]) -> dict[str, str]:
    """Return every table by its name on the page.

    :param rows: results with ``network``, ``seed``, ``method``. :param costs: with ``network``, ``way`` and its cost.
    """
    found: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        found.setdefault((row["network"], row["method"]), {})[row["seed"]] = row
    made = {name: methods(found, chosen) for name, chosen in GROUPS.items()}
    return made | {"distillation": distillation(found), "cost": cost(costs)}


def methods(found: Mapping[tuple[str, str], Mapping[int, Row]], chosen: Sequence[str]) -> str:
    """One row a method: accuracy, its difference to the float network of the same seed, sizes, seconds."""
    lines = [
        "| network | method | accuracy % | points lost | seeds | MACs | kB | packed kB | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    words = {method.name: method.words for method in METHODS}
    for network, title in TITLES.items():
        whole = found.get((network, "float"), {})
        for name in chosen:
            by_seed = found.get((network, name), {})
            if not by_seed:
                continue
            lost = [100 * (whole[seed]["accuracy"] - row["accuracy"]) for seed, row in by_seed.items() if seed in whole]
            cells = [
                title, words[name], mean([100 * row["accuracy"] for row in by_seed.values()]),
                "" if name == "float" else mean(lost), str(len(by_seed)), share(whole, by_seed, "macs"),
                *(f"{average(by_seed, key) / 1e3:.0f}" for key in ("bytes", "packed")),
                "" if name == "float" else f"{statistics.median(row['seconds'] for row in by_seed.values()):.0f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def share(whole: Mapping[int, Row], by_seed: Mapping[int, Row], key: str) -> str:
    return f"{average(by_seed, key) / average(whole, key):.0%}"


def average(by_seed: Mapping[int, Row], key: str) -> float:
    return statistics.fmean(row[key] for row in by_seed.values())


def distillation(found: Mapping[tuple[str, str], Mapping[int, Row]]) -> str:
    lines = [
        "| student, half as wide | samples | seeds | labels alone % | taught % | gain | gain / standard error |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, title in TITLES.items():
        for task, words in TASKS.items():
            alone, taught = (found.get((network, f"{task}-{how}"), {}) for how in ("labels", "taught"))
            seeds = sorted(set(alone) & set(taught))
            if not seeds:
                continue
            pairs = [(100 * alone[seed]["accuracy"], 100 * taught[seed]["accuracy"]) for seed in seeds]
            gains = [after - before for before, after in pairs]
            times = f"{statistics.fmean(gains) / error(gains):.1f}" if error(gains) else ""
            columns = (mean(column) for column in zip(*pairs, strict=True))
            lines.append("| " + " | ".join([title, words, str(len(seeds)), *columns, mean(gains), times]) + " |")
    return "\n".join(lines)


def cost(costs: Sequence[Row]) -> str:
    """Medians over the rounds; ratios are those of the medians."""
    lines = [
        "| network | way | ms per step | vs Keras | processor ms | vs Keras | peak memory | vs Keras |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, title in TITLES.items():
        mine = [row for row in costs if row["network"] == network]
        middle = {
            way: {key: statistics.median(row[key] for row in mine if row["way"] == way) for key in MEASURED}
            for way in COSTS
            if any(row["way"] == way for row in mine)
        }
        for way, values in middle.items():
            cells = [title, COSTS[way]]
            for key, form in MEASURED.items():
                known = values[key] and middle.get("keras", {}).get(key)
                cells += [form(values[key]) if values[key] else "", f"{values[key] / known:.2f}" if known else ""]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


MEASURED: dict[str, Callable[[float], str]] = {
    "wall_ms": lambda v: f"{v:.1f}",
    "processor_ms": lambda v: f"{v:.1f}",
    "peak_mb": lambda v: f"{v:.0f} MB",
}
