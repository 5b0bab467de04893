"""What da4ml's child process is given: a program as JSON and arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.unrolled import Pair, Program, Step
from edgekit.codegen.schedule.unrolled.steps import Rounding


def of_program(program: Program, adders_per_stage: int) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """The job's document, and its arrays by ``STEP.NAME``."""
    steps, arrays = list[dict[str, Any]](), dict[str, NDArray[np.int64]]()
    for number, step in enumerate(program.steps):
        plain, given = _divided(step)
        steps.append({"kind": type(step).__name__, **plain, "arrays": sorted(given)})
        arrays |= {f"{number}.{name}": values for name, values in given.items()}
    document = {
        "inputs": list(program.inputs), "outputs": list(program.outputs), "adders_per_stage": adders_per_stage,
        "sizes": {str(tensor): size for tensor, size in program.sizes.items()}, "steps": steps,
    }  # fmt: skip
    return document, arrays


def _divided(step: Step) -> tuple[dict[str, Any], dict[str, NDArray[np.int64]]]:
    """A step's plain values and its arrays, a rounding's among them."""
    plain, arrays = dict[str, Any](), dict[str, NDArray[np.int64]]()
    found = {field.name: getattr(step, field.name) for field in fields(step)}
    if isinstance(step, Pair):
        arrays |= {"first_places": step.places[0], "second_places": step.places[1]}
        del found["places"]
    rounding = found.pop("rounding", None)
    if isinstance(rounding, Rounding):
        found |= {field.name: getattr(rounding, field.name) for field in fields(rounding)}
    for name, value in found.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            plain[name] = list(value) if isinstance(value, tuple) else value
    return plain, arrays
