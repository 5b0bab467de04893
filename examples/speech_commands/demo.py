"""From speech to words: trains a network on WAV files, compiles it in float and int8, and listens.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

EDGEKIT = Path(sys.executable).with_name("edgekit")
LEAST, MOST_LOST, HEARD = 0.8, 0.03, 0.7
"""Accuracy of the float network at least; what int8 may cost; what is told right on the board at least."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/speech_commands"), help="folder to write to")
    parser.add_argument("--target", default="rpi4", help="the board")
    args = parser.parse_args()
    out: Path = args.out

    title("1. Words spoken by a synthesizer, as WAV files; a network, trained on some voices with plain Keras")
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is missing; it speaks the words. Type: sudo apt-get install -y espeak-ng")
        return 4
    out.mkdir(parents=True, exist_ok=True)
    (out / "task.toml").write_text(Path(__file__).with_name("task.toml").read_text())
    train(out)

    title("2. Accuracy on other voices, in float and int8")
    made = compiled(out, args.target)

    title("3. Listening on the emulated board")
    bundle = out / "bundles" / f"words.int8.{args.target}"
    lines = ["--decisions", str(out / "decided.jsonl"), "--on", "emulator"]
    edgekit("run", str(bundle), "--data", str(out / "heard"), *lines)

    title("Result")
    before, after = made["accuracy"]["float"], made["accuracy"]["compiled"]
    decided = [json.loads(line) for line in (out / "decided.jsonl").read_text().splitlines()]
    right = sum(one["classes"][0]["label"] == one["sample"].split("/")[0] for one in decided)
    claims = [
        (before >= LEAST, f"accuracy of the float network: {before:.2%} (at least {LEAST:.0%})"),
        (before - after <= MOST_LOST, f"accuracy in int8: {after:.2%} (at most {MOST_LOST * 100:.0f} points less)"),
        (made["parity"]["ok"], "the bundle is proven in the board's emulator"),
        (right >= HEARD * len(decided), f"{right} of {len(decided)} words are told right on the board"),
    ]
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    return 0 if all(ok for ok, _ in claims) else 5


def train(out: Path) -> None:
    """Run the training in a process of its own."""
    command = [sys.executable, os.path.relpath(Path(__file__).with_name("words.py")), str(out)]
    show(["python", *command[1:]])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stderr}\nthe training failed")
    print("   " + [line for line in done.stdout.splitlines() if "loss" in line][-1].strip())


def compiled(out: Path, target: str) -> dict[str, Any]:
    """Compile in int8, measured before and after; return the bundle's entry in the JSON."""
    data = ["--data", str(out / "calibration"), "--test", str(out / "test"), "--out", str(out / "bundles")]
    command = ["compile", str(out / "words.keras"), "--target", target, "--recipe", "int8", *data]
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
