"""The child's side of :mod:`edgekit.passes.quantize`: runs LiteRT and ai-edge-quantizer on a model file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError

TASKS = __name__
_ATTEMPTS = 16
WRONG_KERNELS = ("SUM", "DIV")
"""Operators whose integer kernels in LiteRT 2.3 give wrong results, measured operator by operator on noise: the plain
kernel of SUM (signal to noise 0 dB, int8 and int16), and DIV (5 dB in int8: small numerators overflow)."""
NO_KERNEL = "LiteRT has no integer kernel"
"""Why operators of a kind stay in float where the trial run fails."""
_Result = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def calibrate(args: dict[str, Any], arrays: dict[str, NDArray[Any]], work: Path) -> _Result:
    """Run the samples and return each float tensor's ``low`` and ``high``, float32 ``[tensors]``, NaN where unseen."""
    from ai_edge_litert.interpreter import Interpreter

    warnings.simplefilter("ignore")
    try:
        interpreter = Interpreter(args["model"], num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT refuses the model: {_brief(error)}") from error
    details = interpreter.get_input_details()
    computed = {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]} | {d["index"] for d in details}
    wanted = [
        d["index"]
        for d in interpreter.get_tensor_details()
        if d["index"] in computed and d["index"] < args["tensors"] and d["dtype"] is np.float32
    ]
    low = np.full(args["tensors"], np.nan, np.float32)
    high = low.copy()
    for number in range(len(arrays["input0"])):
        interpreter.reset_all_variables()
        for position, detail in enumerate(details):
            interpreter.set_tensor(detail["index"], arrays[f"input{position}"][number])
        try:
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run the model: {_brief(error)}") from error
        for index in wanted:
            try:
                values = interpreter.get_tensor(index)
            except ValueError:  # no kernel filled it: folded into another one, or an optional output
                continue
            if values.size:
                low[index], high[index] = np.fmin(low[index], values.min()), np.fmax(high[index], values.max())
                if not np.isfinite(low[index]) or not np.isfinite(high[index]) or np.isnan(values).any():
                    raise ModelError(
                        f"the network computes NaN or infinity on sample {args['first'] + number} (tensor {index})",
                        "check the data's range, and the model",
                    )
    return {}, {"low": low, "high": high}


def quantize(args: dict[str, Any], arrays: dict[str, NDArray[Any]], work: Path) -> _Result:
    """Quantize, and run the result once; operators that fail in either are left in float, and it is tried again.

    Returns the model's bytes, and the kinds of those operators with the reason.
    """
    model = Path(args["model"]).read_bytes()
    excluded: dict[str, str] = {}
    for _ in range(_ATTEMPTS):
        try:
            quantized = _quantize(model, args, arrays, excluded)
            name, reason = _missing_kernel(quantized) if args["check"] else None, NO_KERNEL
        except Exception as error:  # the quantizer's own checks and slips, of many kinds
            name, reason = _culprit(error), "ai-edge-quantizer fails on it"
            if isinstance(error, ModelError) or name is None or name in excluded:
                raise
        if name is None:
            return {"excluded": excluded}, {"model": np.frombuffer(quantized, np.uint8)}
        if name in excluded:
            break
        excluded[name] = reason
    raise ModelError(f"LiteRT cannot run the quantized model (operator {name})", "try another recipe")


def _quantize(model: bytes, args: dict[str, Any], ranges: dict[str, NDArray[Any]], excluded: Collection[str]) -> bytes:
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(bytearray(model), _recipe(args, excluded))
    result = _statistics(quantizer, ranges) if ranges else None
    done = quantizer.quantize(result, enable_progress_bar=False, enable_progress_report=False)
    return bytes(done.quantized_model)


def _culprit(error: Exception) -> str | None:
    """Return the kind of operator that the quantizer was working on when it failed, from its own variables."""
    trace = error.__traceback__
    name = None
    while trace is not None:
        info = trace.tb_frame.f_locals.get("op_info")
        name = getattr(getattr(info, "op_name", None), "value", name)
        trace = trace.tb_next
    return name if name not in ("INPUT", "OUTPUT") else None


def _recipe(args: dict[str, Any], excluded: Collection[str]) -> list[dict[str, Any]]:
    """The quantizer's own recipe; later rules win. Rules apply to the main subgraph (``s0``) only."""
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    rules = RecipeManager()
    every = TFLOperationName.ALL_SUPPORTED
    granularity = QuantGranularity.CHANNELWISE if args["granularity"] == "channel" else QuantGranularity.TENSORWISE
    static = args["activations"] != "float"

    def add(operator: Any, bits: int) -> None:
        if static:
            width = int(args["activations"].removeprefix("int"))
            rules.add_static_config("^s0t", operator, width, bits, weight_granularity=granularity)
        else:
            rules.add_dynamic_config("^s0t", operator, bits, granularity=granularity)

    if args["weights"] == "float16":
        rules.add_weight_only_config("^s0t", every, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    else:
        add(every, 8)
    if args["weights"] == "int4":
        for operator in (TFLOperationName.CONV_2D, TFLOperationName.FULLY_CONNECTED):
            add(operator, 4)
    if static:  # LiteRT's integer BATCH_MATMUL ignores a constant's per-channel scales and gives zeros
        granularity = QuantGranularity.TENSORWISE
        add(TFLOperationName.BATCH_MATMUL, 8)
    floats = [*excluded, *(WRONG_KERNELS if static else ())]
    floats += ["INPUT", "OUTPUT"] if static and args["io"] == "float32" else []
    for name in floats:
        operator = TFLOperationName(name)
        rules.add_quantization_config("^s0t", operator, algorithm_key=AlgorithmName.NO_QUANTIZE)
    return list(rules.get_quantization_recipe())


def _statistics(quantizer: Any, ranges: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The measured ranges in the form the quantizer's own calibration gives: one array of its rank a bound."""
    statistics = {}
    for index, tensor in enumerate(quantizer._float_model.subgraphs[0].tensors):
        low, high = ranges["low"][index], ranges["high"][index]
        if np.isfinite(low):
            shape = (1,) * (len(tensor.shape) if tensor.shape is not None else 0)
            statistics[f"s0t{index}"] = {"min": np.full(shape, low), "max": np.full(shape, high)}
    return statistics


def _missing_kernel(model: bytes) -> str | None:
    """Run zeros through LiteRT's kernels, XNNPACK's and its own; return the operator that fails, in the quantizer's
    words, or None."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for kernels in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        try:
            interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
            interpreter.allocate_tensors()
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            found = re.search(r"Node number \d+ \((?!Tf)(\w+)\) failed|failed to delegate (\w+) node", str(error))
            name = (found[1] or found[2]) if found else ""
            name = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}.get(name, name)
            if not _quantizable(name):
                raise ModelError(f"LiteRT cannot run the quantized model: {_brief(error)}") from error
            return name
    return None


def _quantizable(name: str) -> bool:
    from ai_edge_quantizer.qtyping import TFLOperationName

    return name in {item.value for item in TFLOperationName}


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
