"""Runs inside onnx2tf's own environment, locked down: convert models and compare them with ONNX Runtime.

``program.py FOLDER SECONDS`` reads ``model.onnx`` and ``job.json`` in each of the folder's subfolders ``0``, ``1``
and so on, and writes ``out/model_float32.tflite`` and ``report.json`` there. It must not import edgekit, which is not
installed in that environment.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

_SEED = 0
_CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
"""What brings a channels-last tensor back to channels-first, by rank."""
_simplified: dict[Path, bytes] = {}
"""Models that onnxsim left as they were."""


def main(folder: Path, seconds: float) -> None:
    """Do the jobs in ``folder``'s subfolders ``0``, ``1``, ..., each in a fork that has ``seconds`` of wall clock."""
    warm(folder)
    jobs = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    for place in jobs:
        pid = os.fork()
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


def simplify(*, input_onnx_file_path: str, append_param: list[str]) -> str:
    """Simplify a model in its place with onnxsim, in a fork, because it may crash; raise if it cannot."""
    import onnxsim

    source = Path(input_onnx_file_path)
    before = source.read_bytes()
    if before == _simplified.get(source):
        return ""
    staged = source.with_name(f"{source.name}.simplified.onnx")
    pid = os.fork()
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


def died(status: int, seconds: float) -> str:
    """Say how a fork ended that left no report, from ``waitpid``'s status."""
    if not os.WIFSIGNALED(status):
        return f"ended with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGALRM:
        return f"ran past {seconds:g} s"
    return f"crashed ({signal.Signals(number).name})"


def job(folder: Path) -> None:
    """Convert and compare the model in one job's folder, and write its report."""
    task = json.loads((folder / "job.json").read_text())
    try:
        convert(folder, [value["name"] for value in task["inputs"]])
    except BaseException as error:
        report: dict[str, Any] = {"error": reason(error)}
    else:
        report = compare(folder, task)
    (folder / "report.json").write_text(json.dumps(report))


def convert(folder: Path, inputs: list[str]) -> None:
    """Convert to float, with the inputs in the model's own layout and under its own names."""
    import onnx2tf

    onnx2tf.convert(
        input_onnx_file_path=str(folder / "model.onnx"),
        output_folder_path=str(folder / "out"),
        tflite_backend="flatbuffer_direct",
        keep_shape_absolutely_input_names=inputs,
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
        verbosity="error",
    )


def reason(error: BaseException) -> str:
    """One line on what the converter could not do, with the operator where its message has one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else f"onnx2tf failed with {type(error).__name__}"
    operator = re.search(r"(?:onnx_op|op_type|OP type|op)\s*[=:]\s*'?(\w+)", str(error))
    prefix = f"operator {operator[1]}: " if operator and operator[1] not in text else ""
    return prefix + re.sub(r"\x1b\[[0-9;]*m", "", text)[:300]


def compare(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Run both models on the same random inputs and find each output's layout and largest difference."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    random = np.random.default_rng(_SEED)
    values = {v["name"]: sample(random, v["shape"], v["dtype"]) for v in job["inputs"]}
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        str(folder / "out" / "model_float32.tflite"), experimental_op_resolver_type=plain, num_threads=1
    )
    details = interpreter.get_output_details()
    order = by_name([v["name"] for v in job["outputs"]], [d["name"] for d in details])
    report: dict[str, Any] = {
        "checked": None,
        "outputs": [{"index": i, "permutation": None, "max_abs": None, "scale": None} for i in order],
    }
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        expected = session.run([v["name"] for v in job["outputs"]], values)
        interpreter.allocate_tensors()
        for detail, index in zip(interpreter.get_input_details(), by_name(
            [d["name"] for d in interpreter.get_input_details()], list(values)
        ), strict=True):  # fmt: skip
            interpreter.set_tensor(detail["index"], list(values.values())[index].astype(detail["dtype"]))
        interpreter.invoke()
    except BaseException as error:
        report["checked"] = reason(error)
        for entry, output in zip(report["outputs"], job["outputs"], strict=True):
            entry["permutation"] = by_shape(details[entry["index"]]["shape"].tolist(), output["shape"])
        return report
    if not all(np.isfinite(value).all() for value in expected if value.dtype.kind == "f"):
        report["checked"] = "on random input its own results are not finite"
    for entry, wanted in zip(report["outputs"], expected, strict=True):
        entry.update(agreement(interpreter.get_tensor(details[entry["index"]]["index"]), wanted))
    return report


def sample(random: Any, shape: list[int], dtype: str) -> Any:
    """Return random values that any model should take: normal floats, integers 0 and 1."""
    if dtype.startswith("float"):
        return random.normal(size=shape).astype(dtype)
    return random.integers(0, 2, size=shape).astype(dtype)


def by_name(wanted: list[str], found: list[str]) -> list[int]:
    """Return where each wanted name is among those found; in order, where the names do not match."""
    with contextlib.suppress(ValueError):
        return [found.index(name) for name in wanted]
    return list(range(len(wanted)))


def by_shape(found: list[int], wanted: list[int]) -> tuple[int, ...] | None:
    """Return what brings shape ``found`` to ``wanted``, where results cannot tell: none if they are equal."""
    permutation = _CHANNELS_FIRST.get(len(found), ())
    return permutation if found != wanted and [found[axis] for axis in permutation] == wanted else None


def agreement(found: Any, wanted: Any) -> dict[str, Any]:
    """Return the layout in which ``found`` comes nearest to ``wanted``, and the difference that remains."""
    import numpy as np

    best: dict[str, Any] = {"permutation": None, "max_abs": None, "scale": None}
    for permutation in (None, _CHANNELS_FIRST.get(np.ndim(found))):
        moved = found if permutation is None else np.transpose(found, permutation)
        if moved.shape != wanted.shape:
            continue
        difference = np.abs(moved.astype(np.float64) - wanted.astype(np.float64))
        difference[np.isnan(moved) & np.isnan(wanted)] = 0
        largest = float(np.nan_to_num(difference, nan=np.inf, posinf=1e300).max(initial=0.0))
        if best["max_abs"] is None or largest < best["max_abs"]:
            scale = float(np.nan_to_num(np.abs(wanted.astype(np.float64)), nan=0.0, posinf=0.0).max(initial=0.0))
            best = {"permutation": permutation, "max_abs": largest, "scale": scale}
    return best


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
