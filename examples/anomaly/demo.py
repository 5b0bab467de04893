"""From the sound of a machine to an alarm: trains an auto-encoder, compiles it in float and int8, and listens.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import machine
import steps

HERE = Path(__file__).parent
NORMAL, TESTED = 80, 24
"""Recordings to train on, and to test with: as many normal ones, and as many of all faults together."""
LEAST, MOST_LOST = 0.9, 0.02
"""AUC of the float network at least; what int8 may cost."""


def main() -> int:
    """Run the demo; return its exit code."""
    args = steps.arguments(__doc__, Path("build/anomaly"), "rpi4")
    out = args.out

    steps.title("1. Recordings of a fan; an auto-encoder, trained on normal ones with plain Keras")
    write(out)
    steps.train(HERE / "train.py", out)

    steps.title("2. Does it tell faults? The area under the ROC curve over recordings, in float and int8")
    data = ["--data", str(out / "normal"), "--test", str(out / "test"), "--metric", "auc"]
    options = ["--target", args.target, "--recipe", "int8", *data, "--out", str(out / "bundles")]
    made = steps.compiled(str(out / "machine.keras"), *options)

    steps.title("3. Listening on the emulated board")
    bundle = out / "bundles" / f"machine.int8.{args.target}"
    lines = ["--decisions", str(out / "decided.jsonl"), "--on", "emulator"]
    steps.edgekit("run", str(bundle), "--data", str(out / "heard"), *lines)

    (auc,) = made["metrics"]
    before, after = auc["before"]["value"], auc["after"]["value"]
    decided = [json.loads(line) for line in (out / "decided.jsonl").read_text().splitlines()]
    right = sum(one["anomalous"] != one["sample"].startswith("normal") for one in decided)
    return steps.result([
        (before >= LEAST, f"AUC of the float network: {before:.3f} (at least {LEAST})"),
        (before - after <= MOST_LOST, f"AUC in int8: {after:.3f} (at most {MOST_LOST} less)"),
        (made["parity"]["ok"], "the bundle is proven in the board's emulator"),
        (right >= len(decided) - 1, f"{right} of {len(decided)} recordings are told right on the board"),
    ])  # fmt: skip


def write(out: Path) -> None:
    """WAV files: some to train on, some to test with, four to listen to on the board."""
    for number in range(NORMAL):
        machine.write(out / "normal" / f"{number:03}.wav", machine.recording(number))
    for number in range(TESTED):
        fault = machine.FAULTS[number % len(machine.FAULTS)]
        machine.write(out / "test" / "normal" / f"{number:03}.wav", machine.recording(1000 + number))
        machine.write(out / "test" / fault / f"{number:03}.wav", machine.recording(2000 + number, fault))
    for number, name in enumerate(("normal", *machine.FAULTS)):
        sound = machine.recording(3000 + number, None if name == "normal" else name)
        machine.write(out / "heard" / f"{name}.wav", sound)


if __name__ == "__main__":
    sys.exit(main())
