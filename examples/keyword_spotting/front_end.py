"""Write what the firmware needs beside the network: the front end's constants, and the labels.

    python examples/keyword_spotting/front_end.py BUNDLE --out FOLDER

``mfcc.c`` and ``mfcc.h`` have the constants of the MFCC and the quantization of the network's input, ``labels.h`` the
names of its classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import speech

from edgekit.data.mfcc import Mfcc, Quantization
from edgekit.data.mfcc_source import source
from edgekit.graph import tflite


def input_quantization(model: Path) -> Quantization:
    """Return how a network's only input is quantized."""
    (tensor,) = tflite.read(model).inputs
    if tensor.dtype != "int8" or tensor.quantization is None:
        raise SystemExit(f"{model}: its input is {tensor.dtype}, not int8. Compile it with --recipe int8")
    return Quantization(float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0]))


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/keywords/firmware"), help="folder to write to")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    written = source(Mfcc(), input_quantization(args.bundle / "model.tflite"))
    (args.out / "mfcc.c").write_text(written.code)
    (args.out / "mfcc.h").write_text(written.header)
    names = ", ".join(f'"{label}"' for label in speech.LABELS)
    (args.out / "labels.h").write_text(
        f"#define LABELS {len(speech.LABELS)}\nstatic const char *const labels[LABELS] = {{{names}}};\n"
    )


if __name__ == "__main__":
    main()
