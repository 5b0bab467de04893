"""From sentences to intents: trains a tokenizer and a transformer, compiles them in float and int8, and asks them.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import intents
import steps

ASKED = (
    "Could you switch the lights on in the attic?", "hey, play something by Bach", "Wird es morgen regnen?",
    "I have to get up at 6:15", "set the heating to 23 degrees",
)  # fmt: skip
HERE = Path(__file__).parent
LEAST, MOST_LOST = 0.85, 0.02
"""Accuracy of the float network at least; what int8 may cost."""


def main() -> int:
    """Run the demo; return its exit code."""
    args = steps.arguments(__doc__, Path("build/text_intent"), "rpi4")
    out = args.out
    out.mkdir(parents=True, exist_ok=True)

    steps.title("1. Sentences and what they want; a tokenizer and a small transformer, trained on others")
    for name, split, count in (("calibration", "train", 200), ("test", "test", 800)):
        write(out / f"{name}.csv", intents.sentences(count, split, seed=2))
    with (out / "asked.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in ASKED)])
    (out / "task.toml").write_text((HERE / "task.toml").read_text())
    steps.train(HERE / "train.py", out)

    steps.title("2. Accuracy on words that the training has not seen, in float and int8")
    floats, small = (compiled(out, args.target, recipe) for recipe in ("as-is", "int8"))

    steps.title("3. Asked on the emulated board")
    data = ["--data", str(out / "asked.csv"), "--decisions", str(out / "decided.jsonl")]
    steps.edgekit("run", small["path"], *data, "--on", "emulator")

    before, after = floats["accuracy"]["compiled"], small["accuracy"]["compiled"]
    sizes = [(Path(one["path"]) / "model.tflite").stat().st_size / 1000 for one in (floats, small)]
    return steps.result([
        (before >= LEAST, f"accuracy in float: {before:.2%} (at least {LEAST:.0%})"),
        (before - after <= MOST_LOST, f"accuracy in int8: {after:.2%} (at most {MOST_LOST * 100:.0f} points less)"),
        (sizes[1] < sizes[0] / 2, f"size: {sizes[0]:.0f} kB in float, {sizes[1]:.0f} kB in int8"),
        (all(one["parity"]["ok"] for one in (floats, small)), "both bundles are proven in the board's emulator"),
    ])  # fmt: skip


def write(path: Path, said: list[intents.Said]) -> None:
    """A table of sentences with the names of their intents."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *([one.text, intents.INTENTS[one.intent]] for one in said)])


def compiled(out: Path, target: str, recipe: str) -> dict[str, Any]:
    """Compile by a recipe."""
    data = ["--data", str(out / "calibration.csv"), "--test", str(out / "test.csv"), "--out", str(out / "bundles")]
    made = steps.compiled(str(out / "intent.keras"), "--target", target, "--recipe", recipe, *data)
    print(f"   accuracy: {made['accuracy']['compiled']:.2%}")
    return made


if __name__ == "__main__":
    sys.exit(main())
