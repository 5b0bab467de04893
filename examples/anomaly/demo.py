"""From the sound of a machine to an alarm: trains an auto-encoder, compiles it in float and int8, and listens.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import machine

EDGEKIT = Path(sys.executable).with_name("edgekit")
NORMAL, TESTED = 80, 24
"""Recordings to train on, and to test with: as many normal ones, and as many of all faults together."""
LEAST, MOST_LOST = 0.9, 0.02
"""AUC of the float network at least; what int8 may cost."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/anomaly"), help="folder to write to")
    parser.add_argument("--target", default="rpi4", help="the board")
    args = parser.parse_args()
    out: Path = args.out

    title("1. Recordings of a fan; an auto-encoder, trained on normal ones with plain Keras")
    write(out)
    train(out)

    title("2. Does it tell faults? The area under the ROC curve over recordings, in float and int8")
    made = compiled(out, args.target)

    title("3. Listening on the emulated board")
    bundle = out / "bundles" / f"machine.int8.{args.target}"
    lines = ["--decisions", str(out / "decided.jsonl"), "--on", "emulator"]
    edgekit("run", str(bundle), "--data", str(out / "heard"), *lines)

    title("Result")
    (auc,) = made["metrics"]
    before, after = auc["before"]["value"], auc["after"]["value"]
    decided = [json.loads(line) for line in (out / "decided.jsonl").read_text().splitlines()]
    right = sum(one["anomalous"] != one["sample"].startswith("normal") for one in decided)
    claims = [
        (before >= LEAST, f"AUC of the float network: {before:.3f} (at least {LEAST})"),
        (before - after <= MOST_LOST, f"AUC in int8: {after:.3f} (at most {MOST_LOST} less)"),
        (made["parity"]["ok"], "the bundle is proven in the board's emulator"),
        (right >= len(decided) - 1, f"{right} of {len(decided)} recordings are told right on the board"),
    ]
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    return 0 if all(ok for ok, _ in claims) else 5


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


def train(out: Path) -> None:
    """Run the training in a process of its own."""
    command = [sys.executable, os.path.relpath(Path(__file__).with_name("train.py")), str(out)]
    show(["python", *command[1:]])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\nthe training failed")
    print("   " + [line for line in done.stdout.splitlines() if "loss" in line][-1].strip())


def compiled(out: Path, target: str) -> dict[str, Any]:
    """Compile in int8, compared with float; return the bundle's entry in the JSON."""
    data = ["--data", str(out / "normal"), "--test", str(out / "test"), "--metric", "auc"]
    command = ["compile", str(out / "machine.keras"), "--target", target, "--recipe", "int8", *data]
    command += ["--out", str(out / "bundles")]
    show(["edgekit", *command])
    done = subprocess.run([EDGEKIT, *command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    made: dict[str, Any] = json.loads(done.stdout)["bundles"][0]
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
