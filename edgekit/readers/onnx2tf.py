"""The ONNX converter: onnx2tf in an environment of its own, made once by uv, run sandboxed.

onnx2tf pins its dependencies exactly and they clash with ours, so it never shares our environment.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.files import left_behind
from edgekit.progress import Progress, Silent
from edgekit.readers import MAX_MODEL_BYTES
from edgekit.sandbox.environment import clean
from edgekit.tools.environment import Environment

_PROGRAM, _RUNS = (Path(__file__).with_name(f"onnx2tf_{name}.py") for name in ("program", "runs"))
_CONVERTED = "out/model_float32.tflite"
_START_SECONDS = 60
"""What the converter may take to start, on top of the models' own limits."""


ENVIRONMENT = Environment(
    "onnx2tf", "onnx2tf", "converts ONNX models", "0.6 GB", "3.12",
    "Python 3.12 or later (uv fetches one where there is none) and a network connection", "onnx",
)  # fmt: skip


def requirement() -> str:
    """Return what is installed, e.g. ``"onnx2tf==2.6.9"``."""
    return ENVIRONMENT.requirement()


def lock_file() -> Path:
    """The packages of the environment, with the sha256 of every file that will do."""
    return ENVIRONMENT.lock_file()


def python() -> Path | None:
    """Return the Python of onnx2tf's environment, None where it is not installed."""
    return ENVIRONMENT.interpreter()


def ensure_onnx2tf(progress: Progress = Silent()) -> Path:
    """Return the Python of onnx2tf's environment, installing it if it is not there (0.6 GB, needs the network).

    :raises ToolMissing: if it cannot be installed, with the reason.
    """
    return ENVIRONMENT.ensure(progress)


@dataclass(frozen=True)
class Job:
    """One conversion: an ONNX model with fixed shapes, its inputs and outputs as ``onnx_child`` describes them.

    :param shown: what messages call the model.
    """

    model: bytes
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Mapping[str, Any]]
    shown: str


@dataclass(frozen=True)
class Sample:
    """One set of inputs and what the models made of it, arrays in the job's order; or why a model made nothing."""

    inputs: list[NDArray[Any]]
    onnx: list[NDArray[Any]] | str
    litert: list[NDArray[Any]] | str


@dataclass(frozen=True)
class Converted:
    """The TFLite file, where in it each of the job's outputs is, and the runs of both models."""

    data: bytes
    order: list[int]
    samples: list[Sample]


def convert(jobs: Sequence[Job], limits: sandbox.Limits, progress: Progress = Silent()) -> list[Converted | ModelError]:
    """Convert models, all in one locked-down run of the converter, which forks for each.

    A model that cannot be converted, crashes the converter or takes longer than ``limits.seconds`` gives its error in
    the place of its result. Models of one call share a scratch folder, so those of different origin should not.

    :raises ToolMissing: if the converter is not there and cannot be installed.
    """
    interpreter = ensure_onnx2tf(progress)
    for job in jobs[:1]:
        more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        progress.step(f"converting {Path(job.shown).name}{more} (onnx2tf, in a sandbox)")
    with sandbox.scratch() as folder:
        for number, job in enumerate(jobs):
            place = folder / str(number)
            place.mkdir()
            (place / "model.onnx").write_bytes(job.model)
            (place / "job.json").write_text(json.dumps({"inputs": job.inputs, "outputs": job.outputs}))
        shutil.copyfile(_PROGRAM, folder / "program.py")
        shutil.copyfile(_RUNS, folder / _RUNS.name)
        env = {
            "PATH": f"{interpreter.parent}{os.pathsep}{clean()['PATH']}",
            "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0",
        }  # fmt: skip
        if sys.flags.dont_write_bytecode:
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        argv = [str(interpreter), "-I", str(folder / "program.py"), str(folder), str(limits.seconds)]
        whole = replace(limits, seconds=limits.seconds * len(jobs) + _START_SECONDS)
        try:
            done = sandbox.run_program(argv, folder=folder, limits=whole, env=env)
            ended = f"ended with status {done.returncode}"
        except sandbox.ChildDied as died:
            ended = died.reason
        return [_result(folder / str(number), job, ended) for number, job in enumerate(jobs)]


def _result(place: Path, job: Job, ended: str) -> Converted | ModelError:
    """What one job left in its folder; ``ended`` says how the program did, for where it left nothing."""
    if left_behind.size(place, "report.json") < 0:
        return ModelError(f"{job.shown} cannot be converted: onnx2tf {ended}")
    try:
        return _read(place, job)
    except ModelError as error:
        return error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return ModelError(f"{job.shown} cannot be converted: onnx2tf left a damaged result ({error!r})")


def _read(place: Path, job: Job) -> Converted | ModelError:
    answer = left_behind.document(place, "report.json", error=ModelError)
    if "died" in answer:
        return ModelError(f"{job.shown} cannot be converted: onnx2tf {answer['died']}")
    if "error" in answer or left_behind.size(place, _CONVERTED) < 0:
        return ModelError(
            f"{job.shown} cannot be converted: {answer.get('error', 'onnx2tf wrote nothing')}",
            "simplify the model (onnxsim) or export it with another opset; see docs/limits.md",
        )
    order = answer["order"] or list(range(len(job.outputs)))
    model = left_behind.read(place, _CONVERTED, MAX_MODEL_BYTES, ModelError)
    return Converted(model, order, [_sample(place, n, why) for n, why in enumerate(answer["sets"])])


def _sample(place: Path, number: int, why: dict[str, Any]) -> Sample:
    onnx, litert = (why[name] or _arrays(place, f"{name}{number}.npz") for name in ("onnx", "litert"))
    return Sample(_arrays(place, f"inputs{number}.npz"), onnx, litert)


def _arrays(place: Path, name: str) -> list[NDArray[Any]]:
    found = left_behind.arrays(place, name, ModelError)
    return [found[str(n)] for n in range(len(found))]
