"""The MNIST example as most users hand it over: trained in Keras, exported by TensorFlow's converter with defaults.

``python tests/networks/keras_mnist.py FOLDER`` writes ``FOLDER/model.tflite``: float32, its batch left open, its shapes
computed in the network (SHAPE, STRIDED_SLICE, PACK, RESHAPE). A process of its own, so that the tests' stays free of
TensorFlow.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist"
DIGITS, EPOCHS = 4000, 1
"""Ten seconds of training; about 93 % of unseen digits are right."""


def export(folder: Path) -> Path:
    """Write the network to ``folder``; return its file."""
    subprocess.run([sys.executable, __file__, folder], check=True, capture_output=True)
    return folder / "model.tflite"


def main() -> None:
    sys.path.insert(0, str(EXAMPLE))
    import train

    (x, y), _ = train.kept_digits()
    train.repeatable(0)
    model = train.network()
    train.fit(model, (x[:DIGITS], y[:DIGITS]), EPOCHS)
    import tensorflow as tf

    Path(sys.argv[1], "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    main()
