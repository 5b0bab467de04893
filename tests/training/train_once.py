"""A program that trains a classifier, for tests to kill: ``train_once.py MODEL DATA OUT WORKERS EPOCHS``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgekit.data.dataset import Dataset
from edgekit.errors import EdgekitError
from edgekit.graph import tflite
from edgekit.passes import PassContext
from edgekit.passes.finetune import Finetune
from edgekit.progress import Silent


class Spoken(Silent):
    def note(self, message: str) -> None:
        print(message, flush=True)


def main(model: str, data: str, out: str, workers: str, epochs: str) -> int:
    with np.load(data) as archive:
        samples = Dataset([archive["x"][:, None]], archive["y"])
    context = PassContext(data=samples, params={"epochs": int(epochs)}, workers=workers, progress=Spoken())
    try:
        made = Finetune().apply(tflite.read(Path(model)), context).graph
    except EdgekitError as error:
        print(f"{error.message} | {error.hint}", flush=True)
        return error.exit_code
    Path(out).write_bytes(tflite.dumps(made))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
