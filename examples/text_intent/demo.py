"""From sentences to intents: trains a tokenizer and a transformer, compiles them in float and int8, and asks them.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import intents

EDGEKIT = Path(sys.executable).with_name("edgekit")
ASKED = (
    "Could you switch the lights on in the attic?", "hey, play something by Bach", "Wird es morgen regnen?",
    "I have to get up at 6:15", "set the heating to 23 degrees",
)  # fmt: skip
LEAST, MOST_LOST = 0.85, 0.02
"""Accuracy of the float network at least; what int8 may cost."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/text_intent"), help="folder to write to")
    parser.add_argument("--target", default="rpi4", help="the board")
    args = parser.parse_args()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)

    title("1. Sentences and what they want; a tokenizer and a small transformer, trained on others")
    for name, split, count in (("calibration", "train", 200), ("test", "test", 800)):
        write(out / f"{name}.csv", intents.sentences(count, split, seed=2))
    with (out / "asked.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in ASKED)])
    (out / "task.toml").write_text(Path(__file__).with_name("task.toml").read_text())
    train(out)

    title("2. Accuracy on words that the training has not seen, in float and int8")
    floats, small = (compiled(out, args.target, recipe) for recipe in ("as-is", "int8"))

    title("3. Asked on the emulated board")
    bundle = out / "bundles" / f"intent.int8.{args.target}"
    data = ["--data", str(out / "asked.csv"), "--decisions", str(out / "decided.jsonl")]
    edgekit("run", str(bundle), *data, "--on", "emulator")

    title("Result")
    before, after = floats["accuracy"]["compiled"], small["accuracy"]["compiled"]
    kilobytes = [(out / "bundles" / f"intent.{name}.{args.target}/model.tflite").stat().st_size / 1000
                 for name in ("as-is", "int8")]  # fmt: skip
    claims = [
        (before >= LEAST, f"accuracy in float: {before:.2%} (at least {LEAST:.0%})"),
        (before - after <= MOST_LOST, f"accuracy in int8: {after:.2%} (at most {MOST_LOST * 100:.0f} points less)"),
        (
            kilobytes[1] < kilobytes[0] / 2,
            f"the network: {kilobytes[0]:.0f} kB in float, {kilobytes[1]:.0f} kB in int8",
        ),
        (all(one["parity"]["ok"] for one in (floats, small)), "both bundles are proven in the board's emulator"),
    ]
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    return 0 if all(ok for ok, _ in claims) else 5


def write(path: Path, said: list[intents.Said]) -> None:
    """A table of sentences with the names of their intents."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *([one.text, intents.INTENTS[one.intent]] for one in said)])


def train(out: Path) -> None:
    """Run the training in a process of its own."""
    command = [sys.executable, os.path.relpath(Path(__file__).with_name("train.py")), str(out)]
    show(["python", *command[1:]])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\nthe training failed")
    print("   " + [line for line in done.stdout.splitlines() if "loss" in line][-1].strip())


def compiled(out: Path, target: str, recipe: str) -> dict[str, Any]:
    """Compile by a recipe; return the bundle's entry in the JSON."""
    data = ["--data", str(out / "calibration.csv"), "--test", str(out / "test.csv"), "--out", str(out / "bundles")]
    command = ["compile", str(out / "intent.keras"), "--target", target, "--recipe", recipe, *data]
    show(["edgekit", *command])
    done = subprocess.run([EDGEKIT, *command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    made: dict[str, Any] = json.loads(done.stdout)["bundles"][0]
    print(f"   accuracy: {made['accuracy']['compiled']:.2%}")
    return made


def edgekit(*args: str) -> None:
    """Run edgekit as a user would."""
    show(["edgekit", *args])
    code = subprocess.run([EDGEKIT, *args], check=False).returncode
    if code:
        sys.exit(code)


def title(words: str) -> None:
    """Print the heading of a step."""
    print(f"\n{words}\n", flush=True)


def show(argv: list[str]) -> None:
    """Print a command as one would type it."""
    print(f"$ {shlex.join(argv)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
