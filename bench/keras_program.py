"""Train a network natively in Keras: ``python bench/keras_program.py MODEL.keras DIGITS EPOCHS BATCH``.

Prints one line of JSON about twice a second (steps done, seconds, processor seconds), and at the end the largest
resident memory. The samples, the batch, the optimizer, the schedule and the validation are those of edgekit's pass
``finetune``; everything else is what ``model.fit`` does by itself.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from compression_networks import article

WINDOW = 0.5
VALIDATION_SHARE = 0.1


def main() -> None:
    path = sys.argv[1]
    digits, epochs, batch = map(int, sys.argv[2:])
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        done, told = 0, 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            if time.monotonic() - self.told > WINDOW:
                self.told = time.monotonic()
                print(json.dumps([self.done, self.told, time.process_time()]), flush=True)

    (x, y), _ = article.kept_digits()
    x, y = x[:digits], y[:digits]
    held = int(VALIDATION_SHARE * len(x))
    model = keras.models.load_model(path)
    steps = epochs * math.ceil((len(x) - held) / batch)
    adam = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-4, steps))
    model.compile(optimizer=adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x[held:], y[held:], validation_data=(x[:held], y[:held]), batch_size=batch, epochs=epochs, verbose=0,
        callbacks=[Clock()],
    )  # fmt: skip
    peak = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{os.getpid()}/status").read_text())
    print(json.dumps({"peak_kb": int(peak[1]) if peak else 0}), flush=True)


if __name__ == "__main__":
    main()
