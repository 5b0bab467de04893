"""The reference: LiteRT's reference kernels on this machine, in a sandboxed child process.

For networks of ONNX operators it is ONNX's own reference implementation (:mod:`edgekit.onnx.evaluate`). Everything
else is judged against these results (docs/architecture.md). The kernels are the ``BUILTIN_REF`` resolver of LiteRT,
single threaded, without XNNPACK or any other delegate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.graph.onnx_operators import PREFIX, has_onnx
from edgekit.reference.anew import Anew
from edgekit.text.logs import lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRELOAD = ("ai_edge_litert.interpreter",)
"""What the child imports before it forks; pass it to :func:`edgekit.sandbox.warm` to hide the import."""
ONNX = ("onnx", "onnx.reference", "onnx.shape_inference")

LIMITS = sandbox.Limits(seconds=600, memory_mb=4096)


def reference_outputs(
    model: Path, inputs: Sequence[NDArray[Any]], *, limits: sandbox.Limits = LIMITS, optimized: bool = False
) -> list[NDArray[Any]]:
    """Run every sample through the model and return the outputs.

    :param model: a TFLite file.
    :param inputs: one array per network input, ``[samples, *tensor shape]``, in the tensor's dtype.
    :param optimized: use LiteRT's default kernels (XNNPACK where it can) instead of the reference ones.
    :returns: one array per network output, ``[samples, *tensor shape]``, in the tensor's dtype. State
        starts anew with each sample.
    :raises ModelError: if LiteRT refuses the model or the inputs, or crashes on it.
    """
    found = _call(model, inputs, limits, {"optimized": optimized, "all_tensors": False})
    return [found[f"output{i}"] for i in range(len(found))]


def reference_tensors(
    model: Path, inputs: Sequence[NDArray[Any]], *, limits: sandbox.Limits = LIMITS, optimized: bool = False
) -> dict[int, NDArray[Any]]:
    """Return every tensor the network computes, by its index in the main subgraph, ``[samples, *tensor shape]``.

    Constants, state, strings and handles of resources are left out. Keep the samples few: everything is
    held in memory. Parameters and errors are those of :func:`reference_outputs`.
    """
    found = _call(model, inputs, limits, {"optimized": optimized, "all_tensors": True})
    return {int(name.removeprefix("tensor")): array for name, array in found.items()}


def _call(
    model: Path, inputs: Sequence[NDArray[Any]], limits: sandbox.Limits, args: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    arrays = {f"input{i}": array for i, array in enumerate(inputs)}
    onnx = _of_onnx(model)
    task, preload = ("edgekit.onnx.evaluate:run_task", ONNX) if onnx else (f"{__name__}:run_task", PRELOAD)
    try:
        _, found = sandbox.call(
            task, {"model": str(model.resolve()), **args}, arrays, limits=limits, preload=preload, readable=[model]
        )
    except sandbox.ChildDied as death:
        raise ModelError(
            f"{'ONNX' if onnx else 'LiteRT'} itself {death.reason} on this model; edgekit is unharmed",
            f"another recipe or another export of the model may avoid what crashes {'ONNX' if onnx else 'LiteRT'}",
        ) from death
    return found


def _of_onnx(model: Path) -> bool:
    """True if the file's operators are those of ONNX."""
    data = model.read_bytes()
    return PREFIX.encode() in data and has_onnx(tflite.loads(data))


def run_task(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run in the child process: build the interpreter, run the samples one by one."""
    import numpy as np

    samples = [arrays[f"input{i}"] for i in range(len(arrays))]
    network = Anew(lambda: _prepared(args, samples))
    details = network.interpreter.get_input_details()
    wanted = _wanted(network.interpreter, args["all_tensors"])
    results: dict[str, list[Any]] = {name: [] for name in wanted}
    for number in range(len(samples[0]) if samples else 1):
        try:
            network.start()
            for detail, values in zip(details, samples, strict=True):
                network.interpreter.set_tensor(detail["index"], values[number])
            network.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run the model: {brief(error)}") from error
        for name, index in list(wanted.items()):
            try:
                results[name].append(network.interpreter.get_tensor(index))
            except ValueError:  # a tensor that no kernel filled (folded away, optional)
                if not args["all_tensors"]:
                    raise ModelError(f"LiteRT left output {name.removeprefix('output')} empty") from None
                del wanted[name], results[name]
    return {}, {name: np.stack(values) for name, values in results.items()}


def _prepared(args: dict[str, Any], samples: list[Any]) -> Any:
    """An interpreter that has run nothing yet."""
    try:
        interpreter = _interpreter(args)
        details = interpreter.get_input_details()
        _check(details, samples)
        for detail, values in zip(details, samples, strict=True):
            if tuple(detail["shape"]) != values.shape[1:]:
                interpreter.resize_tensor_input(detail["index"], values.shape[1:], strict=True)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT refuses the model: {brief(error)}") from error
    return interpreter


def _interpreter(args: dict[str, Any]) -> Any:
    """LiteRT with the kernels wanted. ELU, CEIL and ROUND have no reference kernel: its plain ones stand in."""
    from ai_edge_litert import interpreter as litert

    kinds = litert.OpResolverType
    plain = [kinds.BUILTIN_REF, kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES]
    for kind in [kinds.AUTO] if args["optimized"] else plain:
        try:
            return litert.Interpreter(
                model_path=args["model"], experimental_op_resolver_type=kind, num_threads=1,
                experimental_preserve_all_tensors=args["all_tensors"],
            )  # fmt: skip
        except ValueError as error:
            if kind is not kinds.BUILTIN_REF or "Didn't find op" not in str(error):
                raise
    raise AssertionError("the last attempt returns or raises")


def _check(details: list[dict[str, Any]], samples: list[Any]) -> None:
    if len(details) != len(samples):
        raise ModelError(f"the model has {len(details)} inputs, {len(samples)} were given")
    for detail, values in zip(details, samples, strict=True):
        if values.dtype != detail["dtype"]:
            wanted = getattr(detail["dtype"], "__name__", str(detail["dtype"]))
            raise ModelError(f"input {detail['name']!r} is {wanted}, not {values.dtype}")
        if len(values) != len(samples[0]):
            raise ModelError("the inputs have different numbers of samples")


def _wanted(interpreter: Any, all_tensors: bool) -> dict[str, int]:
    """Names of the results and the tensors they come from."""
    if not all_tensors:
        return {f"output{i}": detail["index"] for i, detail in enumerate(interpreter.get_output_details())}
    import numpy as np

    computed = {index for op in interpreter._get_ops_details() for index in op["outputs"] if index >= 0}
    fixed = {d["index"] for d in interpreter.get_tensor_details() if d["dtype"] not in (np.bytes_, np.object_)}
    return {f"tensor{index}": int(index) for index in sorted(computed & fixed)}


def brief(error: Exception) -> str:
    """LiteRT's message without its source locations, on one line."""
    text = " ".join(line.split("ERROR: ")[-1] for line in lines(str(error)))
    return text.split("litert/", 1)[-1][:300] if "litert/" in text else text[:300]
