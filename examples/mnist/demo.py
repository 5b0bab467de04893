"""edgekit's main job on real input, by its command line: what ``make demo`` runs.

Trains the network of ``train.py`` on MNIST, compiles it in float32 and in int8 for two Raspberry Pis, checks the
bundles in an emulator of each board, and shows what an inference costs there. Every command is printed before it
runs; type it yourself to see more.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TRAIN = os.path.relpath(Path(__file__).with_name("train.py"))
EDGEKIT = Path(sys.executable).with_name("edgekit")
BOARDS = ("rpi4", "rpi5")
RECIPES = ("float32", "int8")

FLOAT_ACCURACY = 0.975
INT8_LOSS = 0.005
"""What the demo promises: accuracy of the trained network, and what int8 may cost of it."""


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="train on the complete MNIST, which is downloaded")
    parser.add_argument("--out", type=Path, default=Path("build/mnist"), help="folder to write to")
    args = parser.parse_args()
    out: Path = args.out

    complain_of_missing_tools()
    title("1. Train a convolutional network on MNIST, with plain Keras")
    train = [sys.executable, TRAIN, "--out", str(out), *(["--full"] if args.full else [])]
    show(["python", *train[1:]])
    trained(train)

    title("2. Compile it for two boards, in float32 and in int8, and prove each bundle in the board's emulator")
    model, boards = str(out / "mnist.keras"), [word for board in BOARDS for word in ("--target", board)]
    data = ["--data", str(out / "calibration.npz"), "--test", str(out / "test.npz"), "--out", str(out)]
    for recipe in RECIPES:
        edgekit("compile", model, *boards, "--recipe", recipe, *data)

    title("3. Check a bundle again, as its receiver would")
    bundles = {(recipe, board): out / f"mnist.{recipe}.{board}" for recipe in RECIPES for board in BOARDS}
    verified = {key: edgekit_json("verify", str(path), "--on", "emulator") for key, path in bundles.items()}
    for check in verified["int8", "rpi4"]["checks"]:
        print(f"   {check['name']:8} {'ok' if check['ok'] else 'FAILED':8} {check['detail']}")

    title("4. What an inference costs: every operator of the int8 network on a Raspberry Pi 5")
    edgekit("profile", str(bundles["int8", "rpi5"]), "--on", "emulator", "--plot", str(out / "latency.svg"))

    title("5. Side by side")
    edgekit("compare", *map(str, bundles.values()), "--on", "emulator")

    title("Result")
    return report(out, bundles, verified)


def report(out: Path, bundles: dict[tuple[str, str], Path], verified: dict[tuple[str, str], Any]) -> int:
    """Hold what was measured against what the demo promises; return the exit code."""
    accuracy = {recipe: manifest(bundles[recipe, BOARDS[0]])["accuracy"] for recipe in RECIPES}
    trained_accuracy, int8_accuracy = accuracy["float32"]["float"], accuracy["int8"]["compiled"]
    parity = {key: verdict["parity"] for key, verdict in verified.items()}
    loss = trained_accuracy - int8_accuracy
    worst_lsb = max(parity["int8", board]["max_abs_lsb"] for board in BOARDS)
    worst_float = max(parity["float32", board]["max_relative"] for board in BOARDS)
    flips = sum(verdict["top1_flips"] for verdict in parity.values())
    claims = [
        (trained_accuracy >= FLOAT_ACCURACY, f"float accuracy {trained_accuracy:.2%} (at least {FLOAT_ACCURACY:.1%})"),
        (loss <= INT8_LOSS, f"int8 accuracy {int8_accuracy:.2%} (at most {100 * INT8_LOSS:.1f} points less)"),
        (all(verdict["ok"] for verdict in verified.values()), "all four bundles verify in their board's emulator"),
        (worst_lsb <= 1, f"int8 outputs are within {worst_lsb:g} LSB of the reference (at most 1)"),
        (
            worst_float <= 1e-4,
            f"float outputs are within {worst_float:.1g} of the reference, relative (at most 1e-4)",
        ),
        (flips == 0, f"{flips} labels differ from the reference's"),
    ]
    for ok, words in claims:
        print(f"   {'ok    ' if ok else 'FAILED'}  {words}")
    print("\nThe bundles, each with a README.md that says how to run it on the board:")
    for path in bundles.values():
        print(f"   {path}/")
    print(f"The drawing of step 4: {out / 'latency.svg'}")
    return 0 if all(ok for ok, _ in claims) else 5


def complain_of_missing_tools() -> None:
    """Stop now, not after the training, where there is no emulator or no compiler."""
    done = subprocess.run([EDGEKIT, "doctor", "--json"], capture_output=True, text=True, check=False)
    checks = json.loads(done.stdout)["checks"]
    missing = [check for check in checks if check["essential"] and not check["ok"]]
    for check in missing:
        print(f"{check['name']} is missing; it {check['purpose']}. Type: {check['install']}")
    if missing:
        sys.exit(4)


def trained(argv: list[str]) -> None:
    """Run the training; TensorFlow's chatter on stderr is shown only where it fails."""
    with tempfile.TemporaryFile("w+") as chatter:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=chatter, text=True) as process:
            for line in process.stdout or ():
                print("   " + line, end="", flush=True)
        if process.returncode:
            chatter.seek(0)
            sys.exit(f"{chatter.read()}\nthe training failed")


def edgekit(*args: str) -> None:
    """Run edgekit as a user would; it prints for people."""
    show(["edgekit", *args])
    ended(subprocess.run([EDGEKIT, *args], check=False).returncode)


def edgekit_json(*args: str) -> Any:
    """Run edgekit as a program would: one JSON document on stdout."""
    show(["edgekit", *args, "--json"])
    done = subprocess.run([EDGEKIT, *args, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    ended(done.returncode)
    return json.loads(done.stdout)


def ended(code: int) -> None:
    """Stop where edgekit failed; it has said why."""
    if code:
        sys.exit(code)


def manifest(bundle: Path) -> Any:
    """Read a bundle's manifest."""
    return json.loads((bundle / "manifest.json").read_text())


def title(words: str) -> None:
    """Print the heading of a step."""
    print(f"\n{words}\n", flush=True)


def show(argv: list[str]) -> None:
    """Print a command as one would type it."""
    print(f"$ {shlex.join(argv)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
