"""Plant faults in a digit classifier, diagnose and cure each; write the table to docs/diagnose.md."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edgekit.diagnosis.cure import Cure, cure  # noqa: E402
from edgekit.diagnosis.diagnose import diagnose  # noqa: E402
from edgekit.diagnosis.measure import Judge  # noqa: E402
from edgekit.passes import PassContext  # noqa: E402
from edgekit.passes.precisions import plan_of  # noqa: E402
from edgekit.passes.quantize import Settings  # noqa: E402
from edgekit.progress import Silent  # noqa: E402
from tests.diagnosis.sabotage import PATIENTS, Patient  # noqa: E402

PAGE = ROOT / "docs" / "diagnose.md"
START, END = "<!-- measured -->\n", "<!-- /measured -->"


def main() -> None:
    lines = [
        "| planted fault | diagnosis | float | int8 | fixed | fix | bytes: int8, fixed, float | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for plant in PATIENTS.values():
        lines.append(row(plant.__doc__ or "", plant(Path(tempfile.mkdtemp()))))
        print(lines[-1])
    text = PAGE.read_text()
    head, rest = text.split(START)
    PAGE.write_text(head + START + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def row(planted: str, patient: Patient) -> str:
    began = time.monotonic()
    found = diagnose(
        patient.graph, Settings(), "int8", patient.calibration, Judge(patient.graph, patient.test), max_drop=0.5,
        progress=Silent(),
    )  # fmt: skip
    first = found.findings[0]
    place = "the input" if first.operator < 0 else f"{first.operator} {first.op}"
    again = first.cause in ("data_range", "dead_range")
    ranges = patient.test if again else patient.calibration
    healed = cure(patient.graph, plan_of({}), ranges, Judge(patient.graph, patient.test), PassContext())[0]
    seconds = time.monotonic() - began
    real, before, after = (
        f"{o.accuracy:.1%}" for o in (healed.real, found.quantized, healed.outcome) if o.accuracy is not None
    )
    sizes = ", ".join(f"{cost / 1e3:.1f} k" for cost in (healed.cost_before, healed.cost, healed.cost_float))
    cells = [planted, f"`{first.cause}` at {place}", real, before, after, how(healed, again), sizes, f"{seconds:.1f}"]
    return "| " + " | ".join(cells) + " |"


def how(healed: Cure, again: bool) -> str:
    words = ["calibrated again"] if again else []
    words += [f"{healed.scaled} channels scaled"] if healed.scaled else []
    for precision in ("int16", "float32"):
        count = healed.precision.count(precision)
        words += [f"{count} of {len(healed.precision)} operators {precision}"] if count else []
    return ", ".join(words)


if __name__ == "__main__":
    main()
