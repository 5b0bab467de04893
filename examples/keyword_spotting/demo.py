"""From a WAV file to the keyword on an emulated Cortex-M4: what ``make demo-keywords`` runs.

Makes synthetic speech, trains a small network on it, compiles it to C for a NUCLEO-L4R5ZI and proves it, links a
firmware with the feature extraction (``firmware/main.c``), and sends WAV files to it over the emulated UART. Each
answer must be the one that Python's feature extraction and LiteRT's reference kernels give. Every command is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import emulated
import front_end
import numpy as np
import speech

from edgekit.data.mfcc import mfcc, quantized
from edgekit.reference.litert import reference_outputs

HERE = Path(os.path.relpath(Path(__file__).parent))
EDGEKIT = Path(sys.executable).with_name("edgekit")
TARGET, RECIPE = "nucleo-l4r5zi", "int8"
TOOLS = {
    "espeak-ng": "espeak-ng", "arm-none-eabi-gcc": "gcc-arm-none-eabi", "qemu-system-arm": "qemu-system-arm",
    "make": "make",
}  # fmt: skip
"""Programs and their Debian packages."""
SPOKEN = ("yes", "no", "stop", "go", speech.UNKNOWN, speech.SILENCE)
"""What the firmware hears in the demo."""
FLOAT_ACCURACY = 0.85
INT8_LOSS = 0.02
"""What the demo promises on voices that the network has not heard."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/keywords"), help="folder to write to")
    parser.add_argument(
        "--quick", action="store_true", help="train next to nothing: to see the steps, not the accuracy"
    )
    args = parser.parse_args()
    out: Path = args.out

    complain_of_missing_tools()
    title("1. Synthesize speech, and train a small network on its MFCC features")
    quick = ["--speakers", "16", "--channels", "8", "--epochs", "6"] if args.quick else []
    run([sys.executable, str(HERE / "train.py"), "--out", str(out), *quick], chatter=True)

    title("2. Compile it to C for a Cortex-M4 board, and prove it in the emulator")
    data = ["--data", str(out / "calibration.npz"), "--test", str(out / "test.npz")]
    model, bundle = str(out / "keywords.keras"), out / f"keywords.{RECIPE}.{TARGET}"
    run([EDGEKIT, "compile", model, "--target", TARGET, "--recipe", RECIPE, *data, "--out", str(out)])

    title("3. Link the firmware: UART, feature extraction, network")
    firmware = out / "firmware"
    run([sys.executable, str(HERE / "front_end.py"), str(bundle), "--out", str(firmware)])
    places = [f"{key}={path.resolve()}" for key, path in (("OUT", firmware), ("BUNDLE", bundle))]
    run(["make", "--silent", "-C", str(HERE / "firmware"), *places])
    run(["arm-none-eabi-size", str(firmware / "emulator" / "keywords.elf")])

    title("4. Speak to it: WAV files go in over the UART, words come out")
    files = [out / "wav" / f"{word}.wav" for word in SPOKEN]
    answers = emulated.answers(firmware / "emulator" / "keywords.elf", [path.read_bytes() for path in files])
    expected = expectations(bundle, files)
    for path, answer, label in zip(files, answers, expected, strict=True):
        print(f"   {path.name:12} {answer}{'' if told(answer) == label else f'   NOT {label}'}")

    title("5. What it costs on the board, by edgekit's cycle model")
    run([sys.executable, HERE / "cycles.py", bundle, firmware / "emulator" / "keywords.elf", files[0]])

    title("Result")
    return report(bundle, files, answers, expected, quick=args.quick)


def expectations(bundle: Path, files: list[Path]) -> list[tuple[str, int]]:
    """Return label and score of each file by Python's features and LiteRT's reference kernels."""
    model = bundle / "model.tflite"
    samples = np.stack([np.resize(np.r_[speech.read_wav(path), np.zeros(16_000, np.int16)], 16_000) for path in files])
    features = quantized(mfcc(samples), front_end.input_quantization(model))
    (scores,) = reference_outputs(model, [features[:, np.newaxis, :, :, np.newaxis]])
    scores = scores.reshape(len(files), -1).astype(int)
    best = scores.argmax(axis=1)
    return [(speech.LABELS[k], int(row[k]) + 128) for k, row in zip(best, scores, strict=True)]


def told(answer: str) -> tuple[str, int]:
    """Return label and score of a line such as ``heard: yes score 151/256 ...``."""
    words = answer.split()
    return words[1], int(words[3].split("/")[0])


def report(bundle: Path, files: list[Path], answers: list[str], expected: list[tuple[str, int]], *, quick: bool) -> int:
    """Hold what was measured against what the demo promises; return the exit code."""
    accuracy = json.loads((bundle / "manifest.json").read_text())["accuracy"]
    before, after = accuracy["float"], accuracy["compiled"]
    same = sum(told(answer) == label for answer, label in zip(answers, expected, strict=True))
    right = sum(told(answer)[0] == path.stem for answer, path in zip(answers, files, strict=True))
    claims = [
        (same == len(files), f"{same} of {len(files)} answers of the firmware equal the reference's, score and all")
    ]
    if not quick:
        claims += [
            (
                before >= FLOAT_ACCURACY,
                f"float accuracy {before:.2%} on unheard voices (at least {FLOAT_ACCURACY:.0%})",
            ),
            (before - after <= INT8_LOSS, f"int8 accuracy {after:.2%} (at most {100 * INT8_LOSS:.0f} points less)"),
        ]
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    print(f"\n   {right} of the {len(files)} words were recognized. The speech is synthetic: the figures say how well")
    print("   the network tells words of one synthesizer apart, not how well it understands people.")
    return 0 if all(ok for ok, _ in claims) else 5


def complain_of_missing_tools() -> None:
    """Stop now, not after the training."""
    missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if missing:
        print(f"some tools are missing. Type: sudo apt-get install -y {' '.join(missing)}")
        sys.exit(4)


def run(argv: list[Any], *, chatter: bool = False) -> None:
    """Print a command as one would type it, and run it; ``chatter``: stderr is shown only where it fails."""
    argv = [str(word) for word in argv]
    shown = [{sys.executable: "python", str(EDGEKIT): "edgekit"}.get(word, word) for word in argv]
    print(f"$ {shlex.join(shown)}", flush=True)
    with tempfile.TemporaryFile("w+") as stderr:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr if chatter else None, text=True) as process:
            for line in process.stdout or ():
                print(f"   {line}" if chatter else line, end="", flush=True)
        if process.returncode:
            stderr.seek(0)
            print(stderr.read(), file=sys.stderr)
            sys.exit(process.returncode)


def title(words: str) -> None:
    """Print the heading of a step."""
    print(f"\n{words}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
