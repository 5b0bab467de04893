"""From a Keras network to an accelerator in an FPGA, by edgekit's command line: what ``make demo-fpga`` runs.

Trains the network of ``train.py`` on MNIST, compiles it in int8 for an ECP5-85F, proves it in a cycle-accurate
simulation of the accelerator's RTL, bit for bit, and shows cycles, latency and energy of every operator.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from demo import TRAIN, edgekit, edgekit_json, manifest, show, title, trained

BOARD = "ecp5-85f"


def main() -> int:
    """Run the demo; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mnist-fpga"), help="folder to write to")
    out: Path = parser.parse_args().out
    started = time.monotonic()

    title("1. Train a convolutional network on MNIST, with plain Keras")
    train = [sys.executable, TRAIN, "--out", str(out)]
    show(["python", *train[1:]])
    trained(train)

    title(f"2. Compile it in int8 for {BOARD}, and prove it in the simulation of the accelerator (built on first use)")
    edgekit(
        "compile", str(out / "mnist.keras"), "--target", BOARD, "--recipe", "int8", "--split", "--data",
        str(out / "calibration.npz"), "--test", str(out / "test.npz"), "--out", str(out),
    )  # fmt: skip
    bundle = out / f"mnist.int8.{BOARD}"

    title("3. Where the cycles go: every operator, as the accelerator's counters have it")
    edgekit("profile", str(bundle), "--on", "emulator")

    title("Result")
    profile = edgekit_json("profile", str(bundle), "--on", "emulator")
    parity, accuracy = manifest(bundle)["parity"], manifest(bundle)["accuracy"]
    latency, energy = profile["latency_ms"], profile["energy_mj"]
    print(f"   accuracy {accuracy['float']:.2%} in float, {accuracy['compiled']:.2%} compiled")
    print(f"   {profile['cycles']} cycles: {latency['value']:.3f} ms at {profile['conditions']['clock_mhz']:g} MHz")
    print(f"   {energy['value']:.3g} mJ, between {energy['low']:.2g} and {energy['high']:.2g}")
    print(f"   {profile['basis']}")
    exact = parity["ok"] and parity["max_abs_lsb"] == 0
    print(f"   {'ok    ' if exact else 'FAILED'}  outputs equal the reference's bit for bit: {bundle}/")
    print(f"   {time.monotonic() - started:.0f} s in all")
    return 0 if exact else 5


if __name__ == "__main__":
    sys.exit(main())
