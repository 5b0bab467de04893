"""From speech to words: trains a network on WAV files, compiles it in float and int8, and listens.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import steps

HERE = Path(__file__).parent
LEAST, MOST_LOST, HEARD = 0.8, 0.03, 0.7
"""Accuracy of the float network at least; what int8 may cost; what is told right on the board at least."""


def main() -> int:
    """Run the demo; return its exit code."""
    args = steps.arguments(__doc__, Path("build/speech_commands"), "rpi4")
    out = args.out

    steps.title("1. Words spoken by a synthesizer, as WAV files; a network, trained on some voices with plain Keras")
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is missing; it speaks the words. Type: sudo apt-get install -y espeak-ng")
        return 4
    out.mkdir(parents=True, exist_ok=True)
    (out / "task.toml").write_text((HERE / "task.toml").read_text())
    steps.train(HERE / "words.py", out)

    steps.title("2. Accuracy on other voices, in float and int8")
    data = ["--data", str(out / "calibration"), "--test", str(out / "test"), "--out", str(out / "bundles")]
    made = steps.compiled(str(out / "words.keras"), "--target", args.target, "--recipe", "int8", *data)

    steps.title("3. Listening on the emulated board")
    bundle = out / "bundles" / f"words.int8.{args.target}"
    lines = ["--decisions", str(out / "decided.jsonl"), "--on", "emulator"]
    steps.edgekit("run", str(bundle), "--data", str(out / "heard"), *lines)

    before, after = made["accuracy"]["float"], made["accuracy"]["compiled"]
    decided = [json.loads(line) for line in (out / "decided.jsonl").read_text().splitlines()]
    right = sum(one["classes"][0]["label"] == one["sample"].split("/")[0] for one in decided)
    return steps.result([
        (before >= LEAST, f"accuracy of the float network: {before:.2%} (at least {LEAST:.0%})"),
        (before - after <= MOST_LOST, f"accuracy in int8: {after:.2%} (at most {MOST_LOST * 100:.0f} points less)"),
        (made["parity"]["ok"], "the bundle is proven in the board's emulator"),
        (right >= HEARD * len(decided), f"{right} of {len(decided)} words are told right on the board"),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
