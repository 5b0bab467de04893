"""Layers with a memory, and rows of int8 that TFLite normalizes in integers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from edgekit.codegen import kernels, parameters
from edgekit.codegen.kernels import Factor
from edgekit.codegen.schedule.mcu.base import McuScheduler
from edgekit.codegen.schedule.mcu.steps import Struct, Value, table

ACTIVATIONS = {"RELU": 1, "RELU6": 3, "TANH": 4}
"""``EK_CELL_RELU`` and kin."""


def _factor(factor: Factor | None, prefix: str = "") -> dict[str, Value]:
    """The fields ``multiplier`` and ``shift``."""
    return {f"{prefix}multiplier": factor.multiplier if factor else 0, f"{prefix}shift": factor.shift if factor else 0}


def svdf(s: McuScheduler, kernel: kernels.Svdf) -> None:
    """SVDF of int8."""
    fields: dict[str, Value] = {
        "features": table(kernel.features, "int8"), "times": table(kernel.times, "int16"),
        "bias": table(kernel.bias, "int32") if kernel.bias is not None else 0,
        "x_zero": s.network.scale(kernel.input).zero_point, "y_zero": s.network.scale(kernel.output).zero_point,
        "low": int(kernel.limits[0]), "high": int(kernel.limits[1]),
    }  # fmt: skip
    data = Struct("ek_svdf_data", fields | _factor(kernel.first, "first_") | _factor(kernel.second, "second_"))
    _svdf_step(s, "ek_svdf_s8", kernel, data)


def float_svdf(s: McuScheduler, kernel: kernels.RealSvdf) -> None:
    """SVDF of float32."""
    data = Struct("ek_svdf_data_f32", {
        "features": table(kernel.features, "float32"), "times": table(kernel.times, "float32"),
        "bias": _optional(kernel.bias), "low": float(kernel.limits[0]), "high": float(kernel.limits[1]),
    })  # fmt: skip
    _svdf_step(s, "ek_svdf_f32", kernel, data)


def _svdf_step(s: McuScheduler, function: str, kernel: kernels.Svdf | kernels.RealSvdf, data: Struct) -> None:
    filters, memory = kernel.times.shape
    depth = kernel.features.shape[1]
    batch = s.elements(kernel.input) // depth
    shape = {"batch": batch, "in": depth, "filters": filters, "memory": memory, "rank": kernel.rank}
    operands = [s.operand(kernel.input), s.operand(kernel.state)]
    s.step(function, kernel, operands, s.output(kernel.output), Struct("ek_svdf_shape", {**shape}), data,
           behind=[None, None])  # fmt: skip


def _optional(values: NDArray[Any] | None) -> Value:
    """A table of float32, or NULL."""
    return table(values, "float32") if values is not None else 0


def lstm(s: McuScheduler, kernel: kernels.Lstm) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM of int8."""
    last = kernel.projection
    fields: dict[str, Value] = {
        "input": _gate(kernel.input_gate), "forget": _gate(kernel.forget_gate), "cell": _gate(kernel.cell_gate),
        "output": _gate(kernel.output_gate),
        "projection": table(last.weights, "int8") if last else 0,
        "projection_bias": table(last.bias, "int32") if last else 0,
        "projection_clip": last.clip if last else 0, "cell_shift": kernel.cell_shift, "cell_clip": kernel.cell_clip,
        "hidden_zero": kernel.hidden_zero, "y_zero": s.network.scale(kernel.activation_state).zero_point,
    }  # fmt: skip
    fields |= _factor(last.factor if last else None, "projection_") | _factor(kernel.hidden, "hidden_")
    _lstm_step(s, "ek_lstm_s8", kernel, Struct("ek_lstm_data", fields), 7)


def float_lstm(s: McuScheduler, kernel: kernels.RealLstm) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM of float32."""
    data = Struct("ek_lstm_data_f32", {
        "input": _float_gate(kernel.input_gate), "forget": _float_gate(kernel.forget_gate),
        "cell": _float_gate(kernel.cell_gate), "output": _float_gate(kernel.output_gate),
        "projection": _optional(kernel.projection), "projection_bias": _optional(kernel.projection_bias),
        "cell_clip": kernel.cell_clip, "projection_clip": kernel.projection_clip,
        "activation": ACTIVATIONS[kernel.activation],
    })  # fmt: skip
    _lstm_step(s, "ek_lstm_f32", kernel, data, 12)


def _lstm_step(
    s: McuScheduler, function: str, kernel: kernels.Lstm | kernels.RealLstm, data: Struct, scratch: int
) -> None:
    """A step; ``scratch``: bytes for each cell."""
    x = s.shape(kernel.input)
    steps, batch = x[:2] if kernel.time_major else x[1::-1]
    cells, outputs = kernel.forget_gate.recurrent_weights.shape
    shape = Struct("ek_lstm_shape", {
        "batch": batch, "steps": steps, "in": x[2], "cells": cells, "out": outputs,
        "time_major": int(kernel.time_major),
    })  # fmt: skip
    operands = [s.operand(index) for index in (kernel.input, kernel.activation_state, kernel.cell_state)]
    s.step(function, kernel, operands, s.output(kernel.output), shape, data, scratch * cells, [None, None, None])


def _float_gate(gate: kernels.RealGate | None) -> Struct:
    """A gate's weights; one that is not there has none."""
    if gate is None:
        return Struct("ek_lstm_gate_f32", {"weights": 0})
    return Struct("ek_lstm_gate_f32", {
        "weights": table(gate.weights, "float32"), "recurrent": table(gate.recurrent_weights, "float32"),
        "bias": table(gate.bias, "float32"), "peephole": _optional(gate.peephole),
        "norm": _optional(gate.normalization),
    })  # fmt: skip


def _gate(gate: kernels.Gate | None) -> Struct:
    """A gate's weights; one that is not there has none."""
    if gate is None:
        return Struct("ek_lstm_gate", {"weights": 0})
    norm = gate.normalization
    fields: dict[str, Value] = {
        "weights": table(gate.weights, "int8"), "recurrent": table(gate.recurrent_weights, "int8"),
        "bias": table(gate.bias, "int32"), "recurrent_bias": table(gate.recurrent_bias, "int32"),
        "peephole": table(gate.peephole, "int16") if gate.peephole is not None else 0,
        "norm": table(norm.weights, "int16") if norm else 0, "norm_bias": table(norm.bias, "int32") if norm else 0,
        "guard": norm.guard if norm else 0,
    }  # fmt: skip
    fields |= _factor(gate.factor) | _factor(gate.recurrent_factor, "recurrent_")
    fields |= _factor(gate.peephole_factor, "peephole_") | _factor(norm.factor if norm else None, "norm_")
    return Struct("ek_lstm_gate", fields)


def rows(s: McuScheduler, kernel: kernels.LogSoftmax | kernels.L2Normalization) -> None:
    """LOG_SOFTMAX and L2_NORMALIZATION of int8."""
    depth, scale = s.shape(kernel.input)[-1], s.network.scale(kernel.input)
    shape = Struct("ek_rows_shape", {"rows": s.elements(kernel.input) // depth, "depth": depth})
    if isinstance(kernel, kernels.L2Normalization):
        name, data = "l2_normalization", Struct("ek_norm_data", {"x_zero": scale.zero_point})
    else:
        given = parameters.softmax_parameters(scale, 1.0)
        softmax = Struct("ek_softmax_data", {**_factor(given.factor), "least": given.least})
        back = _factor(parameters.log_softmax_inverse(given), "back_")
        name, data = "log_softmax", Struct("ek_log_softmax_data", {"softmax": softmax, **back})
    s.step(f"ek_{name}_s8", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [0])
