"""Writes an hls4ml project; run by the Python of hls4ml's environment, which has no edgekit.

``child.py HEADER`` reads ``job.json`` and ``job.npz`` in its working folder, as :mod:`edgekit.backends.hls4ml.job`
writes them, and leaves ``project/``. HEADER has the layers that hls4ml lacks.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.graph import ModelGraph
from hls4ml.model.layers import Layer, register_layer
from hls4ml.model.optimizer.passes import stamp
from hls4ml.model.types import IntegerPrecisionType

PROJECT = "edgekit_network"
STAMP = "network"
Job = dict[str, Any]
Arrays = dict[str, Any]
ROUNDING = ("offset", "below", "border")


class Integers(Layer):  # type: ignore[misc]
    """A layer of :file:`edgekit_integers.h`, with constants of as many bits as they take."""

    constants: tuple[str, ...] = ()

    def initialize(self) -> None:
        """Add its output and its constants."""
        self.add_output_variable(self.get_attr("target_shape"))
        for name in self.constants:
            data = self.get_attr(f"{name}_data")
            self.add_weights_variable(name=name, var_name=name + "{index}", data=data, precision=whole(data))
            self.weights[name].precision_fmt = "{:d}"


class EdgekitRequantize(Integers):
    """One value, rounded."""

    constants = ("gain", *ROUNDING)


class EdgekitCombine(Integers):
    """The sum of two, rounded."""

    constants = ("gain", "other", *ROUNDING)


class EdgekitTable(Integers):
    """A table."""

    constants = ("table",)


class EdgekitSum(Integers):
    """The sum of all pixels."""


CUSTOM: dict[type[Integers], str] = {
    EdgekitRequantize: "edgekit_requantize", EdgekitCombine: "edgekit_combine", EdgekitTable: "edgekit_table",
    EdgekitSum: "edgekit_sum",
}  # fmt: skip


def whole(data: Any) -> Any:
    """The type of the fewest bits that holds an array's numbers."""
    low, high = int(data.min()), int(data.max())
    if low >= 0:
        return IntegerPrecisionType(max(1, high.bit_length()), signed=False)
    return IntegerPrecisionType(max((-low - 1).bit_length(), high.bit_length()) + 1, signed=True)


class Config(LayerConfigTemplate):  # type: ignore[misc]
    """The constants of a layer of ours, as a struct."""

    def __init__(self) -> None:
        super().__init__(tuple(CUSTOM))

    def format(self, node: Any) -> str:
        """The struct."""
        lines = [f"static const unsigned n_in = {int(np.prod(node.get_input_variable().shape))};"]
        lines.append(f"static const unsigned reuse_factor = {node.get_attr('reuse_factor')};")
        lines += [f"typedef {node.weights[name].type.name} {name}_t;" for name in node.constants]
        numbers = {name: node.get_attr(name) for name in ("shift", "low", "high", "n_channels", "n_table")}
        lines += [f"static const int {name} = {value};" for name, value in numbers.items() if value is not None]
        if (split := node.get_attr("split")) is not None:
            lines.append(f"static const bool split = {str(split).lower()};")
            lines.append(f"typedef ap_{node.get_attr('total')} total_t;")
        body = "\n".join(f"    {line}" for line in lines)
        return f"struct config{node.index} {{\n{body}\n}};\n"


class Call(FunctionCallTemplate):  # type: ignore[misc]
    """The call of a layer of ours."""

    def __init__(self) -> None:
        super().__init__(tuple(CUSTOM), include_header=["nnet_utils/edgekit_integers.h"])

    def format(self, node: Any) -> str:
        """The call."""
        inputs = [node.get_input_variable(name) for name in node.inputs]
        output = node.get_output_variable()
        types = ", ".join([*(one.type.name for one in inputs), output.type.name, f"config{node.index}"])
        constants = [node.weights[name].name for name in node.constants]
        arguments = ", ".join([*(one.name for one in inputs), output.name, *constants])
        function = next(name for kind, name in CUSTOM.items() if isinstance(node, kind))
        return f"nnet::{function}<{types}>({arguments});"


def main() -> None:
    """Read the job, write the project."""
    job, arrays = json.loads(Path("job.json").read_text()), np.load("job.npz", allow_pickle=False)
    prepare(Path(sys.argv[1]))
    layers, names = [], dict[str, Any]()
    for value in job["inputs"]:
        name = named(value["number"])
        layers.append({"class_name": "InputLayer", "name": name, "input_shape": value["shape"]})
        names[name] = {"Precision": {"result": value["type"]}}
    for layer in job["layers"]:
        number = layer["output"]["number"]
        own = {key.partition(".")[2]: arrays[key] for key in arrays.files if key.startswith(f"{number}.")}
        made = RULES[layer["kind"]](layer, own)
        inputs = [layer[key] for key in ("input", "first", "second") if key in layer]
        layers.append({"name": named(number), "inputs": [named(one["number"]) for one in inputs], **made})
        precision = {"result": layer["output"]["type"], "accum": layer["output"]["type"], "default": "int<8>"}
        precision |= {
            key: str(whole(own[f"{key}s" if key == "weight" else key]))
            for key in ("weight", "bias")
            if ("weights" if key == "weight" else key) in own
        }
        names[named(number)] = {
            "Precision": precision, "ReuseFactor": layer["reuse"], "Strategy": "Resource",
        }  # fmt: skip
    config = {
        "Backend": "Vitis", "OutputDir": "project", "ProjectName": PROJECT, "IOType": "io_stream",
        "Part": job["part"], "ClockPeriod": job["clock_ns"],
        "WriterConfig": {
            "Namespace": None, "WriteWeightsTxt": True, "WriteTar": False, "TBOutputStream": "both",
            "WriteEmulationConstants": False,
        },
        "HLSConfig": {
            "Model": {"Precision": {"default": "int<8>"}, "ReuseFactor": 1, "Strategy": "Resource"}, "LayerName": names,
        },
    }  # fmt: skip
    outputs = [named(number) for number in job["outputs"]]
    graph = ModelGraph.from_layer_list(config, layers, [named(v["number"]) for v in job["inputs"]], outputs)
    kept = {layer["output"]["number"]: graph.graph[named(layer["output"]["number"])] for layer in job["layers"]}
    for layer in job["layers"]:
        if (factor := kept[layer["output"]["number"]].get_attr("reuse_factor")) != layer["reuse"]:
            raise ValueError(f"the reuse factor of a {layer['kind']} is {factor}, not {layer['reuse']}")
    graph.write()


def prepare(header: Path) -> None:
    """Register our layers; write files without their modes, which the sandbox lets nobody change."""
    Path.chmod = lambda self, mode, **options: None  # type: ignore[method-assign]
    shutil.copymode = shutil.copystat = lambda source, place, **options: None
    backend = hls4ml.backends.get_backend("Vitis")
    for kind in CUSTOM:
        register_layer(kind.__name__, kind)
    backend.register_template(Config)
    backend.register_template(Call)
    backend.register_source(header)
    stamp.uuid.uuid4 = lambda: STAMP


def named(number: int) -> str:
    """The name of a layer and of its value."""
    return f"v{number}"


def convolution(layer: Job, own: Arrays) -> Job:
    """One of hls4ml's own, with padding."""
    (height, width, channels), (rows, columns, filters) = layer["input"]["shape"], layer["output"]["shape"]
    top, left, bottom, right = layer["padding"]
    kind = "DepthwiseConv2D" if layer["depthwise"] else "Conv2D"
    return {
        "class_name": kind, "data_format": "channels_last", "in_height": height, "in_width": width,
        "out_height": rows, "out_width": columns, "n_chan": channels, "n_filt": filters,
        "filt_height": own["weights"].shape[0], "filt_width": own["weights"].shape[1],
        "stride_height": layer["strides"][0], "stride_width": layer["strides"][1], "pad_top": top, "pad_left": left,
        "pad_bottom": bottom, "pad_right": right, "bias_data": own["bias"],
        "depthwise_data" if layer["depthwise"] else "weight_data": own["weights"],
    }  # fmt: skip


def dense(layer: Job, own: Arrays) -> Job:
    """One of hls4ml's own."""
    n_in, n_out = own["weights"].shape
    return {
        "class_name": "Dense", "n_in": n_in, "n_out": n_out, "weight_data": own["weights"], "bias_data": own["bias"],
    }  # fmt: skip


def largest(layer: Job, own: Arrays) -> Job:
    """One of hls4ml's own, of windows side by side."""
    (height, width, channels), (rows, columns, _) = layer["input"]["shape"], layer["output"]["shape"]
    window = layer["window"]
    return {
        "class_name": "MaxPooling2D", "data_format": "channels_last", "in_height": height, "in_width": width,
        "out_height": rows, "out_width": columns, "n_filt": channels, "pool_height": window[0],
        "pool_width": window[1], "stride_height": window[0], "stride_width": window[1], "pad_top": 0, "pad_left": 0,
        "pad_bottom": 0, "pad_right": 0,
    }  # fmt: skip


def zeros(layer: Job, own: Arrays) -> Job:
    """Pixels of 0 around."""
    (height, width, channels), (rows, columns, _) = layer["input"]["shape"], layer["output"]["shape"]
    top, left, bottom, right = layer["padding"]
    return {
        "class_name": "ZeroPadding2D", "data_format": "channels_last", "in_height": height, "in_width": width,
        "out_height": rows, "out_width": columns, "n_chan": channels, "pad_top": top, "pad_left": left,
        "pad_bottom": bottom, "pad_right": right,
    }  # fmt: skip


def shaped(layer: Job, own: Arrays) -> Job:
    """Another shape."""
    return {"class_name": "Reshape", "target_shape": layer["output"]["shape"]}


def custom(kind: type[Integers]) -> Callable[[Job, Arrays], Job]:
    """A layer of ours."""

    def rule(layer: Job, own: Arrays) -> Job:
        made = {"class_name": kind.__name__, "target_shape": layer["output"]["shape"]}
        made |= {f"{name}_data": values for name, values in own.items()}
        made |= {name: layer[name] for name in ("shift", "low", "high", "total", "split") if name in layer}
        if "gain" in own:
            made["n_channels"] = len(own["gain"])
        if "table" in own:
            made |= {"n_table": len(own["table"]), "low": layer["input"]["low"]}
        return made

    return rule


RULES: dict[str, Callable[[Job, Arrays], Job]] = {
    "Convolution": convolution, "Dense": dense, "Largest": largest, "Zeros": zeros, "Shaped": shaped,
    "Requantize": custom(EdgekitRequantize), "Combine": custom(EdgekitCombine), "Table": custom(EdgekitTable),
    "Sum": custom(EdgekitSum),
}  # fmt: skip

if __name__ == "__main__":
    main()
