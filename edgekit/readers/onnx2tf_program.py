"""Convert models and run both forms of each (``onnx2tf_runs.py``), sandboxed in onnx2tf's own environment.

``program.py FOLDER SECONDS`` reads ``model.onnx`` and ``job.json`` in each of the folder's subfolders ``0``, ``1``
and so on, and writes ``out/model_float32.tflite``, ``report.json`` and arrays there. It must not import edgekit, which
is not installed in that environment.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from onnx2tf_runs import died, fork, reason, run  # type: ignore[import-not-found]

_simplified: dict[Path, bytes] = {}
"""Models that onnxsim left as they were."""


def main(folder: Path, seconds: float) -> None:
    """Do the jobs in ``folder``'s subfolders ``0``, ``1``, ..., each in a fork that has ``seconds`` of wall clock."""
    warm(folder)
    jobs = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    for place in jobs:
        pid = fork()
        if pid == 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            job(place)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not (place / "report.json").is_file():
            (place / "report.json").write_text(json.dumps({"died": died(status, seconds)}))


def warm(folder: Path) -> None:
    """Import what every job needs, once.

    Two things that onnx2tf does anew each time are kept: the compiled schema, and onnxsim, which it starts as a program
    of its own (three times a model; importing is most of their time) and which is a fork here.
    """
    gc.disable()  # nothing of it is garbage, nor becomes any
    import ai_edge_litert.interpreter  # noqa: F401
    import onnxruntime  # type: ignore[import-untyped]  # noqa: F401
    import onnxsim  # type: ignore[import-not-found]  # noqa: F401
    import tqdm  # type: ignore[import-untyped]
    from onnx2tf import onnx2tf, tflite_builder  # type: ignore[import-not-found]

    tqdm.tqdm.monitor_interval = 0  # no thread before a fork
    schema = tflite_builder.load_schema_module(str(folder / "schema"))
    tflite_builder.load_schema_module = lambda output_folder_path: schema
    onnx2tf._run_onnxsim_inplace_safely = simplify
    gc.freeze()
    gc.set_threshold(10_000, *gc.get_threshold()[1:])
    gc.enable()


def simplify(*, input_onnx_file_path: str, append_param: list[str]) -> str:
    """Simplify a model in its place with onnxsim, in a fork, because it may crash; raise if it cannot."""
    import onnxsim

    source = Path(input_onnx_file_path)
    before = source.read_bytes()
    if before == _simplified.get(source):
        return ""
    staged = source.with_name(f"{source.name}.simplified.onnx")
    pid = fork()
    if pid == 0:
        status = 1
        try:
            sys.argv = ["onnxsim", str(source), str(staged), *append_param]
            onnxsim.main()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        staged.unlink(missing_ok=True)
        raise RuntimeError(f"onnxsim {died(status, 0)}")
    if staged.read_bytes() == before:
        _simplified[source] = before
    os.replace(staged, source)
    return ""


def job(folder: Path) -> None:
    """Convert the model in one job's folder, run both, and write its report."""
    task = json.loads((folder / "job.json").read_text())
    try:
        convert(folder, [value["name"] for value in task["inputs"]])
    except BaseException as error:
        report: dict[str, Any] = {"error": reason(error)}
    else:
        report = run(folder, task)
    (folder / "report.json").write_text(json.dumps(report))


def convert(folder: Path, inputs: list[str]) -> None:
    """Convert to float, with the inputs in the model's own layout and under its own names.

    onnx2tf rewrites the file it is given, so it gets a copy: what is compared later is the model itself.
    """
    import onnx2tf

    copy = folder / "copy" / "model.onnx"
    copy.parent.mkdir()
    shutil.copyfile(folder / "model.onnx", copy)

    onnx2tf.convert(
        input_onnx_file_path=str(copy),
        output_folder_path=str(folder / "out"),
        tflite_backend="flatbuffer_direct",
        keep_shape_absolutely_input_names=inputs,
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
        verbosity="error",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
