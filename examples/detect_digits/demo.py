"""From photos to boxes: trains a detector of digits, compiles it in float and int8, and draws what it finds.

``make examples`` runs it; README.md beside it explains the steps. Every command is printed before it runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import detector
import steps

HERE = Path(__file__).parent
HEIGHT = 120
"""Pictures are less high than wide, so that they reach the network in a letterbox."""
PLAIN = """schema = 1
description = "int8 without split_scales"
needs_data = true

[[pass]]
name = "quantize"
"""
LEAST, MOST_LOST, CURED = 0.9, 0.3, 0.03
"""AP50 of the float network at least; of int8 without the cure at most; what int8 may cost with it."""


def main() -> int:
    """Run the demo; return its exit code."""
    args = steps.arguments(__doc__, Path("build/detect_digits"), "rpi5")
    out = args.out
    out.mkdir(parents=True, exist_ok=True)

    steps.title("1. Scenes of digits, annotated as COCO does it; a detector, trained on others with plain Keras")
    for name, count, seed in (("calibration", 60, 2), ("test", 80, 3), ("photos", 4, 4)):
        write_scenes(out / name, count, seed)
    (out / "plain.toml").write_text(PLAIN)
    (out / "task.toml").write_text((HERE / "task.toml").read_text())
    steps.train(HERE / "detector.py", out)

    steps.title("2. Average precision: float, int8 with one scale for boxes and scores, int8 with a scale for each")
    recipes = (("plain", str(out / "plain.toml")), ("int8", "int8"))
    found = {name: compiled(out, args.target, recipe, name) for name, recipe in recipes}

    steps.title("3. Boxes in photos")
    drawn = out / "drawn"
    if drawn.is_dir():
        for path in drawn.iterdir():
            path.unlink()
    bundle = out / "int8" / f"detector.int8.{args.target}"
    lines = ["--decisions", str(out / "found.jsonl"), "--draw", str(drawn)]
    steps.edgekit("run", str(bundle), "--data", str(out / "photos" / "images"), *lines)

    real, plain, cured = found["int8"]["before"], found["plain"]["after"], found["int8"]["after"]
    return steps.result([
        (real >= LEAST, f"AP50 of the float network: {real:.3f} (at least {LEAST})"),
        (plain <= MOST_LOST, f"int8 with one scale for boxes and scores: {plain:.3f} (it loses the scores)"),
        (real - cured <= CURED, f"int8 with a scale for each: {cured:.3f} (at most {CURED} less than float)"),
        (len(list(drawn.iterdir())) == 4, f"four pictures with boxes: {drawn}/"),
    ])  # fmt: skip


def write_scenes(folder: Path, count: int, seed: int) -> None:
    """Pictures, and their boxes in ``boxes.json``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    pictures, truth = detector.scenes(count, seed, HEIGHT)
    images, boxes = [], []
    for number, (picture, rows) in enumerate(zip(pictures, truth, strict=True)):
        name = f"{number:03}.png"
        Image.fromarray(np.rint(picture[..., 0] * 255).astype(np.uint8)).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": detector.SIDE, "height": HEIGHT})
        for left, top, right, bottom in rows.tolist():
            box = [left, top, right - left, bottom - top]
            boxes.append({"id": len(boxes), "image_id": number, "category_id": 1, "bbox": box})
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "digit"}]}
    (folder / "boxes.json").write_text(json.dumps(document))


def compiled(out: Path, target: str, recipe: str, name: str) -> dict[str, float]:
    """Compile by a recipe; return AP50 before and after."""
    data = ["--data", str(out / "calibration" / "boxes.json"), "--test", str(out / "test" / "boxes.json")]
    options = ["--target", target, "--recipe", recipe, *data, "--metric", "ap50", "--metric", "ap50-95"]
    made = steps.compiled(str(out / "detector.keras"), *options, "--out", str(out / name))
    steps.metrics(made)
    half = made["metrics"][0]
    return {"before": half["before"]["value"], "after": half["after"]["value"]}


if __name__ == "__main__":
    sys.exit(main())
