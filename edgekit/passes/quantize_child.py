"""The child's side of :mod:`edgekit.passes.quantize`: runs LiteRT and ai-edge-quantizer on a model file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.graph.edit import compact
from edgekit.reference.anew import Anew

TASKS = __name__
_ATTEMPTS = 40
_ALIKE = 16
"""Operators of a kind that are left in float one by one; beyond that, the kind is."""
_MOST = 1e18
"""Magnitude beyond which no scale of an activation has a multiplier that LiteRT can represent."""
WRONG_KERNELS = ("SUM", "DIV")
"""Operators whose integer kernels in LiteRT 2.3 give wrong results, measured operator by operator on noise: the plain
kernel of SUM (signal to noise 0 dB, int8 and int16), and DIV (5 dB in int8: small numerators overflow)."""
NO_KERNEL = "LiteRT has no integer kernel"
"""Why operators stay in float where the trial run fails."""
_Result = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def calibrate(args: dict[str, Any], arrays: dict[str, NDArray[Any]], work: Path) -> _Result:
    """Run the samples and return each float tensor's ``low`` and ``high``, float32 ``[tensors]``, NaN where unseen."""
    from ai_edge_litert.interpreter import Interpreter

    warnings.simplefilter("ignore")

    def make() -> Any:
        try:
            interpreter = Interpreter(args["model"], num_threads=1, experimental_preserve_all_tensors=True)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT refuses the model: {_brief(error)}") from error
        return interpreter

    network = Anew(make)
    details = network.interpreter.get_input_details()
    computed = {int(i) for op in network.interpreter._get_ops_details() for i in op["outputs"]}
    computed |= {d["index"] for d in details}
    wanted = [
        d["index"]
        for d in network.interpreter.get_tensor_details()
        if d["index"] in computed and d["index"] < args["tensors"] and d["dtype"] is np.float32
    ]
    low = np.full(args["tensors"], np.nan, np.float32)
    high = low.copy()
    for number in range(len(arrays["input0"])):
        try:
            network.start()
            for position, detail in enumerate(details):
                network.interpreter.set_tensor(detail["index"], arrays[f"input{position}"][number])
            network.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run the model: {_brief(error)}") from error
        for index in wanted:
            try:
                values = network.interpreter.get_tensor(index)
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

    Returns the model's bytes, and the operators left in float with the reason: single ones by the name of their first
    result (``s0t7``), and kinds.
    """
    model = Path(args["model"]).read_bytes()
    excluded = _beyond_scales(model, arrays) if args["activations"] != "float" else {}
    for _ in range(_ATTEMPTS):
        try:
            quantized = _quantize(model, args, arrays, excluded)
            failed = _failures(quantized) if args["check"] else {}
        except Exception as error:  # the quantizer's own checks and slips, of many kinds
            failed = dict.fromkeys(_culprit(error), "ai-edge-quantizer fails on it")
            if isinstance(error, ModelError) or not failed:
                raise
        if not failed:
            return {"excluded": excluded}, {"model": np.frombuffer(quantized, np.uint8)}
        new = _new(failed, excluded)
        if not new:
            name = next(iter(failed)).split("/")[-1]
            raise ModelError(f"LiteRT cannot run the quantized model (operator {name})", "try another recipe")
        excluded.update(new)
    raise ModelError("LiteRT cannot run the quantized model, whichever operators stay in float", "try another recipe")


def _new(failed: dict[str, str], excluded: Mapping[str, str]) -> dict[str, str]:
    """Return what to leave in float next: the operators that failed.

    Where these are excluded already, or where several of their kind were, it is the kind.

    :param failed: reasons by ``"s0t7/ADD"``, or ``"/ADD"`` where only the kind is known.
    """
    new: dict[str, str] = {}
    for place, reason in failed.items():
        name, _, kind = place.partition("/")
        alike = sum(key.startswith("s0t") and value.endswith(f"({kind})") for key, value in excluded.items())
        if name and name not in excluded and alike < _ALIKE:
            new[name] = f"{reason} ({kind})"
        elif kind and kind not in excluded and _quantizable(kind):
            new[kind] = reason
    return new


def _beyond_scales(model: bytes, ranges: dict[str, NDArray[Any]]) -> dict[str, str]:
    """Return the operators that touch values so large that no scale of theirs has a multiplier in LiteRT.

    A mask of -3.4e38 is such a value: the quantizer, or LiteRT, ends the process on them.
    """
    graph = tflite.loads(model)
    largest = np.fmax(np.abs(ranges["low"]), np.abs(ranges["high"])) if ranges else np.zeros(len(graph.tensors))
    beyond = {int(i) for i in np.flatnonzero(np.nan_to_num(largest, nan=0.0, posinf=np.inf) > _MOST)}
    for index, tensor in enumerate(graph.tensors):
        if tensor.data is not None and tensor.dtype == "float32" and tensor.sparsity is None and tensor.elements:
            beyond |= {index} if float(np.max(np.abs(tensor.array()))) > _MOST else set()
    return {
        f"s0t{operator.outputs[0]}": f"its values lie beyond what a scale can be ({operator.op})"
        for operator in graph.operators
        if operator.outputs and beyond.intersection((*operator.inputs, *operator.outputs))
    }


def _quantize(model: bytes, args: dict[str, Any], ranges: dict[str, NDArray[Any]], excluded: Collection[str]) -> bytes:
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(bytearray(model), _recipe(args, excluded))
    result = _statistics(quantizer, ranges) if ranges else None
    done = quantizer.quantize(result, enable_progress_bar=False, enable_progress_report=False)
    return bytes(done.quantized_model)


def _culprit(error: Exception) -> list[str]:
    """Return the operator that the quantizer was working on when it failed, as ``"s0t7/ADD"``.

    It is read from the quantizer's own variables; empty if there was none.
    """
    trace = error.__traceback__
    found: list[str] = []
    while trace is not None:
        info = trace.tb_frame.f_locals.get("op_info")
        kind = getattr(getattr(info, "op_name", None), "value", None)
        if kind is not None:
            outputs = getattr(getattr(info, "op", None), "outputs", None)
            name = f"s0t{int(outputs[0])}" if outputs is not None and len(outputs) else ""
            found = [] if kind in ("INPUT", "OUTPUT") else [f"{name}/{kind}"]
        trace = trace.tb_next
    return found


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
    # One rule covers all outputs; the caller gives those that may be integers back.
    floats += ["OUTPUT"] if static and args["float_outputs"] else []
    for name in floats:
        single = name.startswith("s0t")  # the quantizer knows an operator by its results' names
        where, operator = (f"^{name};", every) if single else ("^s0t", TFLOperationName(name))
        rules.add_quantization_config(where, operator, algorithm_key=AlgorithmName.NO_QUANTIZE)
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


def _failures(model: bytes) -> dict[str, str]:
    """Run zeros through LiteRT's kernels, XNNPACK's and its own; return the operators that fail.

    They are named ``"s0t7/ADD"``, or by their kind, ``"/ADD"``.

    :raises ModelError: if it fails, and no operator that was quantized can be blamed.
    """
    for plain in (True, False):
        if not (error := _failure(model, plain)):
            continue
        graph = tflite.loads(model)
        found = re.search(r"Node number (\d+) \((?!Tf)(\w+)\) failed|failed to delegate (\w+) node", error)
        blamed = [n for n in range(len(graph.operators)) if _integer(graph, n) and _failure(_alone(graph, n), plain)]
        if not blamed and found and found[1] and int(found[1]) < len(graph.operators):
            number = int(found[1])
            blamed = [number] if graph.operators[number].op == found[2] else []
        if blamed:
            return {_place(graph, n): NO_KERNEL for n in blamed}
        kind = _quantizers_word((found[2] or found[3]) if found else "")
        if not _quantizable(kind):
            raise ModelError(f"LiteRT cannot run the quantized model: {error}")
        return {f"/{kind}": NO_KERNEL}
    return {}


def _failure(model: bytes, plain: bool) -> str:
    """What LiteRT says when it cannot run zeros through a model; empty if it can."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    try:
        interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        return _brief(error)
    return ""


def _alone(graph: Graph, number: int) -> bytes:
    """A model of one operator, fed with all it reads."""
    operator = graph.operators[number]
    fed = tuple(dict.fromkeys(i for i in operator.inputs if i >= 0 and graph.tensors[i].data is None))
    main = replace(graph.main, operators=[operator], inputs=fed, outputs=operator.outputs)
    return tflite.dumps(compact(Graph([main])))


def _integer(graph: Graph, number: int) -> bool:
    """True if the operator has an integer, quantized operand or result: it may be left in float instead."""
    operator = graph.operators[number]
    tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    return operator.op not in ("QUANTIZE", "DEQUANTIZE") and any(t.has_scale for t in tensors)


def _place(graph: Graph, number: int) -> str:
    operator = graph.operators[number]
    name = re.match(r"s0t\d+", graph.tensors[operator.outputs[0]].name) if operator.outputs else None
    return f"{name[0] if name else ''}/{_quantizers_word(operator.op)}"


def _quantizers_word(op: str) -> str:
    return {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}.get(op, op)


def _quantizable(name: str) -> bool:
    from ai_edge_quantizer.qtyping import TFLOperationName

    return name in {item.value for item in TFLOperationName}


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
