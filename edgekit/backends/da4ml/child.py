"""Turns an unrolled network into Verilog with da4ml; run by the Python of da4ml's environment, which has no edgekit.

``child.py`` reads ``job.json`` and ``job.npz`` in its working folder, as :mod:`edgekit.backends.da4ml.job` writes them,
and leaves ``rtl/`` and ``report.json``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from da4ml.codegen import VerilogModel
from da4ml.trace import FixedVariable, FixedVariableArray, HWConfig, comb_trace, to_pipeline
from da4ml.types import Pipeline, minimal_kif

Step = dict[str, Any]
Arrays = dict[str, Any]
Values = dict[int, list[Any]]
NOTHING = -1
TOP = "edgekit_network"
NETWORK = "network"
WIDE = 62


def copy(source: Any, place: Any) -> Any:
    """shutil.copy without the file's mode, which the sandbox lets nobody change."""
    target = Path(place) / Path(source).name if Path(place).is_dir() else place
    return shutil.copyfile(source, target)


def main() -> None:
    """Read the job, write the Verilog."""
    shutil.copy = copy  # type: ignore[assignment]
    job, arrays = json.loads(Path("job.json").read_text()), np.load("job.npz", allow_pickle=False)
    hardware = HWConfig(1, -1, -1)
    values: Values = {}
    for tensor in job["inputs"]:
        n = job["sizes"][str(tensor)]
        ones, none = np.ones(n, int), np.zeros(n, int)
        values[tensor] = list(FixedVariableArray.from_kif(ones, 7 * ones, none, hwconf=hardware)._vars)
    last_use = {tensor: number for number, step in enumerate(job["steps"]) for tensor in read_by(step)}
    last_use |= dict.fromkeys(job["outputs"], len(job["steps"]))
    given = [v for tensor in job["inputs"] for v in values[tensor]]
    segments, work = list[Any](), False
    for number, step in enumerate(job["steps"]):
        if work and step["kind"] in ("Linear", "Pair"):  # the results so far get registers, and scales of their own
            live = [tensor for tensor in values if last_use.get(tensor, -1) >= number]
            made = [v for tensor in live for v in values[tensor]]
            given, renewed = divided(segments, given, made, hardware)
            order = iter(renewed)
            values = {tensor: [next(order) for _ in values[tensor]] for tensor in live}
        arrays_of_step = {name: arrays[f"{number}.{name}"] for name in step["arrays"]}
        values[step["output"]] = RULES[step["kind"]](step, arrays_of_step, values, hardware)
        work = work or step["kind"] in ("Linear", "Pair")
    outputs = [v for tensor in job["outputs"] for v in values[tensor]]
    segments.append(comb_trace(np.array(given), np.array(outputs), True))
    limit = job["adders_per_stage"]
    stages = [stage for one in segments for stage in to_pipeline(one, limit, retiming=False, verbose=False).solutions]
    pipeline = Pipeline(tuple(stages))
    VerilogModel(pipeline, NETWORK, "rtl", print_latency=False).write()
    tidied(Path("rtl") / "src")
    Path("rtl", f"{TOP}.v").write_text(wrapper(pipeline))
    report = {
        "stages": len(stages), "register_bits": int(pipeline.reg_bits),
        "adders": sum(op.opcode in (0, 1) for one in segments for op in one.ops),
    }  # fmt: skip
    Path("report.json").write_text(json.dumps(report))


def tidied(folder: Path) -> None:
    """Give constants of more than 32 bits a width, and tables names that are the same every time."""
    names: dict[str, str] = {}
    for path in sorted(folder.rglob("*.v")):
        text = re.sub(r"(?<!\w)'b([01]+)", lambda bits: f"{len(bits[1])}'b{bits[1]}", path.read_text())
        path.write_text(
            re.sub(r"table_[0-9a-f-]+(?=\.mem)", lambda n: names.setdefault(n[0], f"table_{len(names)}"), text)
        )
    for old, new in names.items():
        (folder / "memfiles" / f"{old}.mem").rename(folder / "memfiles" / f"{new}.mem")


def read_by(step: Step) -> list[int]:
    """The vectors that a step reads."""
    return [*step.get("inputs", []), *(step[name] for name in ("input", "first", "second") if name in step)]


def divided(segments: list[Any], given: list[Any], made: list[Any], hardware: Any) -> tuple[list[Any], list[Any]]:
    """End a segment of the circuit; return the variables of the next one, and them in the place of ``made``.

    Constants have no wires.
    """
    fresh, passed, order = dict[Any, Any](), list[Any](), list[Any]()
    for v in made:
        if v.low == v.high:
            order.append(FixedVariable.from_const(float(v.low), hwconf=hardware))
            continue
        if v.id not in fresh:
            fresh[v.id] = FixedVariable(v.low, v.high, v.step, hwconf=hardware)
            passed.append(v)
        order.append(fresh[v.id])
    segments.append(comb_trace(np.array(given), np.array(passed), True))
    return list(fresh.values()), order


def linear(step: Step, given: Arrays, values: Values, hardware: Any) -> list[Any]:
    """Sums of products of windows with constants, rounded."""
    x, weights, index = values[step["input"]], given["weights"], given["index"]
    totals, zeros = list[Any](), list[Any]()
    for row in index:
        for group, places in enumerate(row):
            there = places != NOTHING
            matrix = weights[group][there]
            zeros.append(step["zero"] * matrix.sum(0))
            if not matrix.any():
                totals += [FixedVariable.from_const(0, hwconf=hardware)] * matrix.shape[1]
                continue
            vector = FixedVariableArray(np.array([x[p] for p in places[there]]), hwconf=hardware)
            totals += list((vector @ matrix.astype(np.float64))._vars)
    return rounded(step, given, totals, given["gain"] * np.concatenate(zeros), hardware)


def pair(step: Step, given: Arrays, values: Values, hardware: Any) -> list[Any]:
    """Sums of two vectors times constants, rounded."""
    a, b = values[step["first"]], values[step["second"]]
    gain = int(given["gain"][0])
    totals = [
        a[i] * gain + b[j] * step["other"] for i, j in zip(given["first_places"], given["second_places"], strict=True)
    ]
    many = {name: np.repeat(given[name], len(totals)) for name in ("offset", "below", "border", "shift")}
    many["gain"] = np.ones(len(totals), np.int64)
    return rounded(step, many, totals, np.zeros(len(totals), np.int64), hardware)


def rounded(step: Step, given: Arrays, totals: list[Any], zeros: Any, hardware: Any) -> list[Any]:
    """``clip(floor((total * gain + offset) / 2**shift))``; ``zeros``: what the zero point adds to the totals."""
    made = []
    columns = (given[name] for name in ("gain", "offset", "below", "border", "shift"))
    for total, zero, gain, offset, below, border, shift in zip(totals, zeros, *columns, strict=True):
        scaled = total * int(gain)
        added = int(offset) - int(zero)
        value = scaled + added
        if below != offset:
            more, sign = int(below) - int(offset), scaled - (int(border) + int(zero))
            if sign.high < 0:
                value = value + more
            elif sign.low < 0:
                value = value + sign.msb_mux(float(more), 0.0)
        value = (value * 2.0 ** -int(shift)).quantize(1, WIDE - int(shift), 0, "WRAP", "TRN")
        made.append(clipped(value, step["low"], step["high"]))
    return made


def clipped(value: Any, low: int, high: int) -> Any:
    """Within limits; without constants that are compared, of which da4ml 0.6.0 loses bits above the 32nd."""
    if value.low < low:
        value = (value - low).relu() + low
    return high - (high - value).relu() if value.high > high else value


def table(step: Step, given: Arrays, values: Values, hardware: Any) -> list[Any]:
    """Each element by a table; one that cannot have all values takes a part of it."""
    results = given["table"].astype(np.float64)
    parts = [results[int(one.low) + 128 : int(one.high) + 129 : int(one.step)] for one in values[step["input"]]]
    return [one.lookup(part) for one, part in zip(values[step["input"]], parts, strict=True)]


def largest(step: Step, given: Arrays, values: Values, hardware: Any) -> list[Any]:
    """The largest or smallest of places."""
    joined = [v for tensor in step["inputs"] for v in values[tensor]]
    made = []
    for places in given["index"]:
        chosen = [joined[p] for p in places if p != NOTHING]
        best = chosen[0]
        for other in chosen[1:]:
            best = best.min_of(other) if step["smallest"] else best.max_of(other)
        made.append(clipped(best, step["low"], step["high"]))
    return made


def pick(step: Step, given: Arrays, values: Values, hardware: Any) -> list[Any]:
    """Elements at places, and constants."""
    joined = [v for tensor in step["inputs"] for v in values[tensor]]
    return [
        FixedVariable.from_const(int(value), hwconf=hardware) if place == NOTHING else joined[place]
        for place, value in zip(given["index"], given["values"], strict=True)
    ]


RULES = {"Linear": linear, "Pair": pair, "Table": table, "Largest": largest, "Pick": pick}


def wrapper(pipeline: Any) -> str:
    """A module in which every element has eight bits."""
    inputs, widths_in = [], 0
    for n, (k, i, f) in enumerate(minimal_kif(q) for q in pipeline.inp_qint):
        width = k + i + f
        if width:
            inputs.append(f"x[{8 * n - f} +: {width}]")  # f is 0, or negative where low bits are 0
        widths_in += width
    outputs, at = [], 0
    for k, i, f in (minimal_kif(q) for q in pipeline.out_qint):
        width = k + i + f
        low = f"{-f}'b0" if f < 0 else ""
        value = f"packed_y[{at} +: {width}]" if width else ""
        rest = 8 - width + f
        high = f"{{{rest}{{packed_y[{at + width - 1}]}}}}" if k else f"{rest}'b0"
        parts = [part for part in (high if rest else "", value, low) if part]
        outputs.append(f"{{{', '.join(parts)}}}")
        at += width
    ends = f"input [{8 * len(pipeline.inp_qint) - 1}:0] x", f"output [{8 * len(pipeline.out_qint) - 1}:0] y"
    return f"""// The network with eight bits per element, the first in the lowest bits. A new input goes in at every
// clock; its output is there {len(pipeline.solutions) + 1} cycles later.
module {TOP} (
    input clk,
    {ends[0]},
    {ends[1]}
);
    wire [{widths_in - 1}:0] packed_x = {{{", ".join(reversed(inputs))}}};
    wire [{at - 1}:0] packed_y;
    {NETWORK} network (.clk(clk), .model_inp(packed_x), .model_out(packed_y));
    assign y = {{{", ".join(reversed(outputs))}}};
endmodule
"""


if __name__ == "__main__":
    main()
