"""Runs model.engine on the bundle's golden samples and compares with their outputs. On the device, after build.sh.

    python3 check.py [SAMPLES]      at most so many; the default is 4

Needs numpy and trtexec. Exit codes: 0 within the bound of shapes.json, 4 something is missing, 5 beyond it, 6 trtexec
failed.
"""

# ruff: noqa: B905 (JetPack 5 has Python 3.8)
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    try:
        import numpy as np
    except ImportError:
        return say("numpy is missing: sudo apt-get install python3-numpy", 4)
    trtexec = shutil.which("trtexec") or "/usr/src/tensorrt/bin/trtexec"
    if not Path(trtexec).is_file() or not (HERE / "model.engine").is_file():
        return say(f"model.engine or trtexec is missing: sh {shlex.quote(os.path.relpath(HERE / 'build.sh'))}", 4)
    shapes = json.loads((HERE / "shapes.json").read_text())
    with np.load(HERE.parent / "golden.npz") as archive:
        given = [archive[f"input{n}"] for n in range(len(shapes["inputs"]))]
        wanted = [archive[f"output{n}"] for n in range(len(shapes["outputs"]))]
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    worst = 0.0
    for sample in range(min(most, len(wanted[0]))):
        found = infer(np, trtexec, shapes, [real(np, x[sample], row) for x, row in zip(given, shapes["inputs"])])
        if found is None:
            return say(f"trtexec failed; run it by hand: {trtexec} --loadEngine=model.engine", 6)
        for row, values in zip(shapes["outputs"], wanted):
            expected = real(np, values[sample], row)
            gap = np.max(np.abs(np.array(found[row["name"]], np.float64).reshape(expected.shape) - expected))
            far = float(gap / max(np.max(np.abs(expected)), 1e-6))
            if not far < float("inf"):  # max() would leave NaN out
                return say(f"output {row['name']} is not finite: NOT ok", 5)
            worst = max(worst, far)
    ok = worst <= shapes["tolerance"]
    line = f"outputs within {worst:.2g} of the largest magnitude, bound {shapes['tolerance']:g}"
    return say(line + (": ok" if ok else ": NOT ok"), 0 if ok else 5)


def real(np, values, row):
    """The values that the engine takes or gives: float32, where the bundle's network has integers with a scale."""
    q = row["quantization"]
    return ((values.astype(np.float64) - q["zero_point"]) * q["scale"]).astype(np.float32) if q else values


def infer(np, trtexec, shapes, inputs):
    with tempfile.TemporaryDirectory() as folder:
        loads = []
        for number, (row, values) in enumerate(zip(shapes["inputs"], inputs)):
            path = Path(folder) / f"input{number}.bin"
            path.write_bytes(np.ascontiguousarray(values).tobytes())
            loads.append(f"{row['name']}:{path}")
        out = Path(folder) / "outputs.json"
        command = [trtexec, f"--loadEngine={HERE / 'model.engine'}", "--loadInputs=" + ",".join(loads),
                   f"--exportOutput={out}", "--iterations=1", "--warmUp=0", "--duration=0"]  # fmt: skip
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode or not out.is_file():
            return None
        # trtexec writes nan and inf as C++ does
        text = re.sub(r"(?<=[\[,\s])-?nan\b", "NaN", out.read_text())
        text = re.sub(r"(?<=[\[,\s-])inf\b", "Infinity", text)
        return {row["name"]: row["values"] for row in json.loads(text)}


def say(line, status):
    print("check.py: " + line)
    return status


if __name__ == "__main__":
    sys.exit(main())
