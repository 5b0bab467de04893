"""Runs inside onnx2tf's own environment, with ``onnx2tf_program.py``: an ONNX model and its conversion on samples."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

_SEED = 0
SETS = 4
_PDEATHSIG = 1  # of prctl(2)
_SLOW = 2.0
"""Seconds that a set of samples may take if further ones shall be tried."""


def run(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Run both models on the same sets of samples.

    Set ``n`` leaves ``inputs<n>.npz``, and ``onnx<n>.npz`` and ``litert<n>.npz`` (``0``, ``1``, ... in the order of the
    task's names) where that run succeeded. The report's ``sets`` say why the others did not.
    """
    import numpy as np

    sets = []
    for number in range(SETS):
        random = np.random.default_rng((_SEED, number) if number else _SEED)
        sets.append([sample(random, v["shape"], v["dtype"], number) for v in task["inputs"]])
        np.savez(folder / f"inputs{number}.npz", **{str(n): value for n, value in enumerate(sets[-1])})
    onnx = every(folder, "onnx", lambda: onnx_model(folder, task), sets)
    litert = every(folder, "litert", lambda: litert_model(folder, task), sets)
    order = folder / "order.json"
    return {
        "sets": [{"onnx": why, "litert": other} for why, other in zip(onnx, litert, strict=False)],
        "order": json.loads(order.read_text()) if order.is_file() else None,
    }


def every(folder: Path, name: str, load: Any, sets: list[Any]) -> list[str | None]:
    """Run a model on each set; return why it failed there, None where it did not.

    That happens in a fork, because kernels may crash on what they are fed; the sets after a crash get another one. Sets
    after a slow one are left out.
    """
    done: list[str | None] = []
    while len(done) < len(sets):
        reader, writer = os.pipe()
        pid = fork()
        if pid == 0:
            os.close(reader)
            try:
                runs(folder, name, load, sets, len(done), writer)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            done += [json.loads(line) for line in pipe.read().splitlines()]
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            break
        done.append(died(status, 0))
    return done[: len(sets)]


def runs(folder: Path, name: str, load: Any, sets: list[Any], first: int, writer: int) -> None:
    """In a fork: load the model, run the sets from the ``first`` on, write a line of JSON for each."""
    import numpy as np

    def tell(why: str | None) -> None:
        os.write(writer, json.dumps(why).encode() + b"\n")

    try:
        model = load()
    except BaseException as error:
        for _ in sets[first:]:
            tell(reason(error))
        return
    for number in range(first, len(sets)):
        start = time.monotonic()
        try:
            found = model(sets[number])
            np.savez(folder / f"{name}{number}.npz", **{str(n): value for n, value in enumerate(found)})
            tell(None)
        except BaseException as error:
            tell(reason(error))
        if time.monotonic() - start > _SLOW:
            return


def onnx_model(folder: Path, task: dict[str, Any]) -> Any:
    """The ONNX model in ONNX Runtime: a function from the task's inputs to its outputs."""
    import numpy as np
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def model(values: list[Any]) -> list[Any]:
        feeds = dict(zip([v["name"] for v in task["inputs"]], values, strict=True))
        found = session.run([v["name"] for v in task["outputs"]], feeds)
        if not all(isinstance(value, np.ndarray) and value.dtype.kind in "biuf" for value in found):
            raise TypeError("its results are not all tensors of numbers")
        return list(found)

    return model


def litert_model(folder: Path, task: dict[str, Any]) -> Any:
    """The converted model in LiteRT, likewise; also writes where in it each of the task's outputs is."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        str(folder / "out" / "model_float32.tflite"), experimental_op_resolver_type=plain, num_threads=1
    )
    outputs = interpreter.get_output_details()
    order = by_name([v["name"] for v in task["outputs"]], [d["name"] for d in outputs])
    (folder / "order.json").write_text(json.dumps(order))
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    places = by_name([d["name"] for d in inputs], [v["name"] for v in task["inputs"]])

    def model(values: list[Any]) -> list[Any]:
        interpreter.reset_all_variables()  # all there is: onnx2tf writes no resource variables
        for detail, place in zip(inputs, places, strict=True):
            interpreter.set_tensor(detail["index"], values[place].astype(detail["dtype"]))
        interpreter.invoke()
        return [interpreter.get_tensor(outputs[index]["index"]) for index in order]

    return model


def sample(random: Any, shape: list[int], dtype: str, number: int) -> Any:
    """Return random values of the set's kind.

    Set 0 is what any model should take: normal floats, integers 0 and 1. The others reveal roundings, signs, integer
    division and arithmetic in fewer bits: 1 has large floats and ties, small integers, and is false; 2 has positive
    floats, integers up to 100 without 0, and is true; 3 has integers beyond what float32 or int32 hold exactly.
    """
    import numpy as np

    if dtype.startswith("float"):
        values = random.normal(size=shape)
        if number == 1:
            values = np.where(random.random(shape) < 0.3, np.round(values * 4) / 2, values * 4)
        return (np.abs(values) + 0.01 if number == 2 else values).astype(dtype)
    if dtype == "bool":
        return random.integers(0, 2, size=shape).astype(bool) if number in (0, 3) else np.full(shape, number == 2)
    if number < 2:
        return random.integers(0, (2, 5)[number], size=shape).astype(dtype)
    bounds = np.iinfo(dtype)
    limit = min(int(bounds.max), 100 if number == 2 else (1 << 26) + 12345 if bounds.bits == 32 else (1 << 34) + 12345)
    values = random.integers(1, limit, size=shape, endpoint=True)
    signs = random.choice((-1, 1), size=shape) if bounds.min < 0 else 1
    return np.asarray(values * signs).astype(dtype)


def by_name(wanted: list[str], found: list[str]) -> list[int]:
    """Return where each wanted name is among those found; in order, where the names do not match."""
    with contextlib.suppress(ValueError):
        return [found.index(name) for name in wanted]
    return list(range(len(wanted)))


def fork() -> int:
    """As ``os.fork``, but the child dies with its parent: what runs past its time leaves nobody behind."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    return pid


def died(status: int, seconds: float) -> str:
    """Say how a fork ended that left no report, from ``waitpid``'s status."""
    if not os.WIFSIGNALED(status):
        return f"ended with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGALRM:
        return f"ran past {seconds:g} s"
    return f"crashed ({signal.Signals(number).name})"


def reason(error: BaseException) -> str:
    """One line on what the converter could not do, with the operator where its message has one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else f"onnx2tf failed with {type(error).__name__}"
    operator = re.search(r"(?:onnx_op|op_type|OP type|op)\s*[=:]\s*'?(\w+)", str(error))
    prefix = f"operator {operator[1]}: " if operator and operator[1] not in text else ""
    return prefix + re.sub(r"\x1b\[[0-9;]*m", "", text)[:300]
