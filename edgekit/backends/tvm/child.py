"""The child's side of the TVM backend: makes an object file of a program's kernels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TASK = f"{__name__}:compile_kernels"


def compile_kernels(
    args: dict[str, Any], arrays: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compile each of ``functions`` (``name``, ``loops``, ``trace``) for ``target`` (TVM's).

    :returns: TVM's version and ``unfit``, the functions whose trace does not fit; the object file's bytes, in which
        function NAME is the symbol ``__tvm_ffi_NAME``.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tvm

    from edgekit.backends.tvm.templates import make
    from edgekit.codegen.loops import decoded

    made, unfit = {}, []
    for entry in args["functions"]:
        function, fits = make(decoded(entry["loops"]), entry["trace"])
        unfit += [] if fits else [entry["name"]]
        made[entry["name"]] = function.with_attr("global_symbol", entry["name"])
    # The kernels are called by one caller, with the arguments that they were made for.
    with tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        library = tvm.compile(tvm.IRModule(made), target=tvm.target.Target(args["target"]))
    path = folder / "kernels.o"
    library.mod.write_to_file(str(path))
    return {"tvm": tvm.__version__, "unfit": unfit}, {"object": np.frombuffer(path.read_bytes(), np.uint8)}
