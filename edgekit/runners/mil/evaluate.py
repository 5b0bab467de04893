"""The sandbox child's side: evaluate a package's program on samples, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgekit.backends.coreml import package
from edgekit.backends.coreml.tools import types
from edgekit.errors import ModelError
from edgekit.runners.mil.kernels import KERNELS


def task(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays ``input0``... are ``[samples, *shape]``; so are the results ``output0``..."""
    block = package.load(Path(args["package"])).block
    samples = [arrays[f"input{i}"] for i in range(len(arrays))]
    program = Program(block)
    found = [
        program.run(dict(zip(args["inputs"], one, strict=True)), args["outputs"]) for one in zip(*samples, strict=True)
    ]
    return {}, {f"output{i}": np.stack([one[i] for one in found]) for i in range(len(args["outputs"]))}


class Program:
    """A program of one block whose constants are unpacked once."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self.constants: dict[str, Any] = {}
        self.operations = []
        for operation in block.operations:
            if operation.op_type == "const":
                self.constants[operation.outputs[0].name] = operation.outputs[0].val
            elif operation.op_type.startswith("constexpr_"):
                self.constants[operation.outputs[0].name] = operation.materialized_val_inference()
            else:
                self.operations.append(operation)

    def run(self, inputs: dict[str, Any], outputs: list[str]) -> list[Any]:
        """:raises ModelError: naming an operation that cannot be evaluated here, or what does not fit it."""
        values = {**self.constants, **inputs}
        for operation in self.operations:
            results = self._operation(operation, values)
            for variable, result in zip(operation.outputs, results, strict=True):
                wanted = types.nptype_from_builtin(variable.dtype)
                result = np.asarray(result).astype(wanted)
                if tuple(result.shape) != tuple(variable.shape):
                    raise ModelError(f"{operation.op_type} gives {result.shape}, the package says {variable.shape}")
                values[variable.name] = result
        return [values[name] for name in outputs]

    def _operation(self, operation: Any, values: dict[str, Any]) -> tuple[Any, ...]:
        given = {
            name: [values[v.name] for v in variable] if isinstance(variable, list | tuple) else values[variable.name]
            for name, variable in operation.inputs.items()
            if variable is not None
        }
        kernel = KERNELS.get(operation.op_type)
        with np.errstate(all="ignore"):
            result = kernel(given) if kernel else _defined(operation, values)
        return tuple(result) if len(operation.outputs) > 1 else (result,)


def _defined(operation: Any, values: dict[str, Any]) -> Any:
    """Coremltools' own definition of the operation, with which it folds constants."""
    variables = [
        v for x in operation.inputs.values() for v in (x if isinstance(x, list | tuple) else [x]) if v is not None
    ]
    for variable in variables:
        value = type(variable.sym_type)() if not callable(variable.sym_type) else variable.sym_type()
        value.val = values[variable.name]
        variable._sym_val = value
    try:
        return operation.value_inference()
    except NotImplementedError as error:
        raise ModelError(f"edgekit cannot evaluate Core ML's operation {operation.op_type}") from error
