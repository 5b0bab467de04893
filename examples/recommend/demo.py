"""From households to films: trains two towers, makes their tables int8, and recommends on an emulated board.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import steps
import taste

HERE = Path(__file__).parent
LEAST, MOST_LOST = 0.5, 0.02
"""Hit rate of the float network at least; what int8 may cost."""


def main() -> int:
    """Run the demo; return its exit code."""
    args = steps.arguments(__doc__, Path("build/recommend"), "rpi4")
    out = args.out
    out.mkdir(parents=True, exist_ok=True)

    steps.title("1. Who watched which film, and when; two towers, trained on what was watched before")
    write(out / "calibration.csv", taste.watched(2, 1))
    write(out / "test.csv", taste.watched(3, 3))
    with (out / "tonight.csv").open("w", newline="") as file:
        rows = [(taste.NAMES[n], 20.5, taste.DAYS[n % 2]) for n in range(4)]
        csv.writer(file).writerows([("household", "hour", "day"), *rows])
    (out / "films.txt").write_text("\n".join(taste.FILMS))
    (out / "households.txt").write_text("\n".join(taste.NAMES))
    (out / "task.toml").write_text((HERE / "task.toml").read_text())
    steps.train(HERE / "train.py", out)

    steps.title("2. Is the film that was watched among the ten that score highest? Before and after int8 tables")
    data = ["--data", str(out / "calibration.csv"), "--test", str(out / "test.csv"), "--out", str(out / "bundles")]
    metrics = ["--metric", "hit-rate", "--metric", "ndcg"]
    model = str(out / "recommend.keras")
    made = steps.compiled(model, "--target", args.target, "--recipe", "int8", *data, *metrics)
    steps.metrics(made)

    steps.title("3. For tonight, on the emulated board")
    lines = ["--data", str(out / "tonight.csv"), "--decisions", str(out / "decided.jsonl")]
    steps.edgekit("run", made["path"], *lines, "--on", "emulator")

    before, after = (made["metrics"][0][key]["value"] for key in ("before", "after"))
    size = (Path(made["path"]) / "model.tflite").stat().st_size / 1000
    return steps.result([
        (before >= LEAST, f"hit rate at 10 in float: {before:.3f} (at least {LEAST}; by chance {10 / 240:.3f})"),
        (before - after <= MOST_LOST, f"hit rate at 10 in int8: {after:.3f} (at most {MOST_LOST} less)"),
        (size < 40, f"network with both tables in int8: {size:.0f} kB"),
        (made["parity"]["ok"], "the bundle is proven in the board's emulator"),
    ])  # fmt: skip


def write(path: Path, seen: taste.Watched) -> None:
    """A table of what was watched."""
    rows = zip(seen.household.tolist(), seen.hour.tolist(), seen.day.tolist(), seen.film.tolist(), strict=True)
    with path.open("w", newline="") as file:
        lines = [(taste.NAMES[who], f"{hour:.2f}", taste.DAYS[day], taste.FILMS[film]) for who, hour, day, film in rows]
        csv.writer(file).writerows([("household", "hour", "day", "label"), *lines])


if __name__ == "__main__":
    sys.exit(main())
