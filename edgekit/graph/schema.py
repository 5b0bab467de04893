"""The generated TFLite schema, and its names and numbers."""

from __future__ import annotations

from functools import cache
from types import ModuleType

CUSTOM = "CUSTOM"


@cache
def schema() -> ModuleType:
    """The generated TFLite schema that ships with ai-edge-litert (imported late: it is 690 kB of Python)."""
    import ai_edge_litert.schema_py_generated as generated

    module: ModuleType = generated
    return module


@cache
def operator_names() -> dict[int, str]:
    """Builtin operator names by code."""
    return {code: name for name, code in vars(schema().BuiltinOperator).items() if not name.startswith("_")}


@cache
def operator_codes() -> dict[str, int]:
    """Return the schema's operator codes by name."""
    return {name: code for code, name in operator_names().items()}


@cache
def dtype_names() -> dict[int, str]:
    """Return the names of dtypes by the schema's codes."""
    return {code: name.lower() for name, code in vars(schema().TensorType).items() if not name.startswith("_")}


@cache
def dtype_codes() -> dict[str, int]:
    """Return the schema's dtype codes by name."""
    return {name: code for code, name in dtype_names().items()}
