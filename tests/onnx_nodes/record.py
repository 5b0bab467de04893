"""The list of passes and the table in the documentation: what ``make onnx-nodes`` writes.

``passes.txt`` has a line for each case that passes: its name, the backend, and ``deployed`` where only its deployed
form does. It may only grow: a run that loses a pass fails, names it, and writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.onnx_nodes import cases
from tests.onnx_nodes.cases import GROUPS, Case
from tests.onnx_nodes.judge import DEFECTS, Outcome, judge

PASSES = Path(__file__).with_name("passes.txt")
DOCUMENT = Path(__file__).parents[2] / "docs" / "onnx.md"
ALL = Path(__file__).parents[2] / "build" / "onnx-nodes.jsonl"
"""What became of each case, with the whole message; for whoever looks into one."""
PARTIAL = ALL.with_suffix(".part.jsonl")
"""The same while a whole run goes on: one that is stopped goes on from there if nothing changed."""
BEGIN, END = "<!-- made by make onnx-nodes -->", "<!-- end -->"
WAYS = ("litert", "tvm", "litert deployed", "tvm deployed")
"""Ways to pass, the best one first."""
_REASON = 110
_MEANINGS = {
    "imprecise": "Accepted by the comparison above, but further off than the test allows; not counted as passed",
    "wrong": "Compiled, but with results other than the test expects; defects of edgekit, to be fixed or refused",
    "crashed": "Compiled, but the compiled network crashed; defects",
    "unnamed": "Refused without naming an operator; defects",
}


def load() -> dict[str, str]:
    """The recorded passes: how (one of :data:`WAYS`) by the case's name."""
    lines = PASSES.read_text().splitlines() if PASSES.is_file() else []
    return dict(line.split(" ", 1) for line in lines)


def passed(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return {o.case: f"{o.way} {o.form}".strip() for o in outcomes if o.verdict == "passed"}


def lost(recorded: Mapping[str, str], outcomes: Sequence[Outcome]) -> list[str]:
    """Say of each judged case that did better before what it does now."""
    now = passed(outcomes)
    return [
        f"{o.case} passed ({recorded[o.case]}), now: {now.get(o.case) or f'{o.verdict} {o.way} {o.form} {o.detail}'}"
        for o in outcomes
        if o.case in recorded and (o.case not in now or _form(now[o.case]) > _form(recorded[o.case]))
    ]


def _form(way: str) -> bool:
    """Whether only the deployed form passes. By which backend is no loss: what it is read as may change."""
    return "deployed" in way


def defects(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{o.case}: {o.verdict} {o.way} {o.form} {o.detail}" for o in outcomes if o.verdict in DEFECTS]


def shares(recorded: Mapping[str, str]) -> dict[str, tuple[int, int, int]]:
    """By group: cases, those that pass as they are, those that pass at all."""
    found = {}
    for group in GROUPS:
        names = [case.name for case in cases.load() if case.group == group]
        whole = [name for name in names if name in recorded]
        found[group] = len(names), sum("deployed" not in recorded[name] for name in whole), len(whole)
    return found


def table(outcomes: Sequence[Outcome]) -> str:
    """The documentation's two tables, by group and by operator."""
    recorded = passed(outcomes)
    lines = ["| Group | Cases | Pass unchanged | Pass in total | Share of the group |", "|---|---|---|---|---|"]
    whole = shares(recorded)
    both = tuple(sum(whole[group][i] for group in GROUPS[:2]) for i in range(3))
    rows = [("**float and int8**", both), *((group, whole[group]) for group in GROUPS)]
    rows.append(("all", tuple(sum(row[i] for row in whole.values()) for i in range(3))))
    lines += [f"| {name} | {row[0]} | {row[1]} | {row[2]} | {row[2] / row[0]:.1%} |" for name, row in rows]
    lines += [
        "",
        "| Operator | Cases | LiteRT | TVM | Deployed form only | Refused, and why |",
        "|---|---|---|---|---|---|",
    ]
    by_name = cases.by_name()
    operators: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        operators.setdefault(by_name[outcome.case].operator or "none", []).append(outcome)
    for operator, found in sorted(operators.items()):
        ways = Counter(recorded.get(o.case, "") for o in found)
        deployed = ways["litert deployed"] + ways["tvm deployed"]
        why = _why([o for o in found if o.case not in recorded], by_name)
        lines.append(f"| {operator} | {len(found)} | {ways['litert']} | {ways['tvm']} | {deployed} | {why} |")
    for verdict, meaning in _MEANINGS.items():
        names = [outcome.case for outcome in outcomes if outcome.verdict == verdict]
        lines += ["", f"{meaning} ({len(names)}): {', '.join(names) or 'none'}."]
    return "\n".join(lines)


def _why(left: Sequence[Outcome], by_name: Mapping[str, Case]) -> str:
    """How many are refused, with the commonest reason without names and numbers that are the case's own."""
    if not left:
        return ""
    reasons = Counter(_plain(o, by_name[o.case]) for o in left)
    return f"{len(left)}: {reasons.most_common(1)[0][0]}"


def _plain(outcome: Outcome, case: Case) -> str:
    text = outcome.detail.split("; as ONNX operators: ")[-1]
    text = re.sub(r"^(?:MODEL:? ?|operator \d* ?ONNX_\w+: |operator \w+(?: \(node '[^']*'\))?: )", "", text)
    text = re.sub(r"(?<!operator )'[^']*' of (?!')", "a tensor of ", text).replace("|", "/").replace("\n", " ")
    if outcome.verdict != "refused":
        text = f"{outcome.verdict}: {text}"
    return text if len(text) <= _REASON else text[: _REASON - 3] + "..."


def write(outcomes: Sequence[Outcome]) -> None:
    """Write the list and, where the page has the marks, the tables."""
    PASSES.write_text("".join(f"{name} {way}\n" for name, way in sorted(passed(outcomes).items())))
    if DOCUMENT.is_file() and BEGIN in (text := DOCUMENT.read_text()):
        head, rest = text.split(BEGIN, 1)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{table(outcomes)}\n{END}{rest.split(END, 1)[1]}")


def _key() -> str:
    """A digest of what decides the outcomes: edgekit, and the tests' own code."""
    root, total = Path(__file__).parents[2], hashlib.sha256()
    for path in sorted([*root.glob("edgekit/**/*.py"), *root.glob("tests/onnx_nodes/*.py")]):
        total.update(path.read_bytes())
    return total.hexdigest()


def _read(path: Path) -> tuple[str, dict[str, Outcome]]:
    """The key and the outcomes in a file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    key = next((line["key"] for line in lines if "key" in line), "")
    return key, {line["case"]: Outcome(**line) for line in lines if "case" in line}


def _before() -> dict[str, Outcome]:
    """What a run of the same code that was stopped has judged already."""
    key, outcomes = _read(PARTIAL)
    if key == _key():
        return outcomes
    PARTIAL.parent.mkdir(exist_ok=True)
    PARTIAL.write_text(json.dumps({"key": _key()}) + "\n")
    return {}


def _keep(outcomes: Sequence[Outcome]) -> None:
    PARTIAL.parent.mkdir(exist_ok=True)
    with PARTIAL.open("a") as file:
        file.writelines(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)
    print(f"{time.strftime('%H:%M:%S')} {len(outcomes)} cases judged", flush=True)


def main(parts: Sequence[str]) -> int:
    """Judge all cases, or those with one of ``parts`` in their name; the others are as they were last time."""
    start = time.monotonic()
    chosen = [case for case in cases.load() if not parts or any(part in case.name for part in parts)]
    before = _read(ALL)[1] if parts else _before()
    left = [case for case in chosen if parts or case.name not in before]
    if not parts and before:
        print(f"{len(before)} cases were judged by a run that was stopped; going on")
    found = before | {outcome.case: outcome for outcome in judge(left, done=_keep)}
    PARTIAL.unlink(missing_ok=True)
    outcomes = [found[case.name] for case in cases.load() if case.name in found]
    ALL.parent.mkdir(exist_ok=True)
    ALL.write_text("".join(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes))
    if len(outcomes) < len(cases.load()):
        print("\n".join(f"{o.case}: {o.verdict} {o.way} {o.form} {o.detail}" for o in outcomes))
        return 1
    recorded = load()
    for verdict, count in sorted(Counter(f"{o.verdict} {o.way} {o.form}".strip() for o in outcomes).items()):
        print(f"{count:5} {verdict}")
    for group, (whole, plain, every) in shares(passed(outcomes)).items():
        print(f"{group}: {every} of {whole} pass ({every / whole:.1%}), {plain} of them as they are")
    print(f"{time.monotonic() - start:.0f} s")
    wrong, gone = defects(outcomes), lost(recorded, outcomes)
    print(*[f"DEFECT {line}" for line in wrong], *[f"LOST {line}" for line in gone], sep="\n")
    if not gone:
        write(outcomes)
    return 1 if gone or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
