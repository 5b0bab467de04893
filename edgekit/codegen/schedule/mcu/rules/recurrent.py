"""Layers with a memory, and rows of int8 that TFLite normalizes in integers."""

from __future__ import annotations

from edgekit.codegen import kernels, parameters
from edgekit.codegen.kernels import Factor
from edgekit.codegen.schedule.mcu.base import McuScheduler
from edgekit.codegen.schedule.mcu.steps import Struct, Value, table


def _factor(factor: Factor | None, prefix: str = "") -> dict[str, Value]:
    """The fields ``multiplier`` and ``shift``."""
    return {f"{prefix}multiplier": factor.multiplier if factor else 0, f"{prefix}shift": factor.shift if factor else 0}


def svdf(s: McuScheduler, kernel: kernels.Svdf) -> None:
    """SVDF."""
    filters, memory = kernel.times.shape
    depth = kernel.features.shape[1]
    batch = s.elements(kernel.input) // depth
    shape = {"batch": batch, "in": depth, "filters": filters, "memory": memory, "rank": kernel.rank}
    fields: dict[str, Value] = {
        "features": table(kernel.features, "int8"), "times": table(kernel.times, "int16"),
        "bias": table(kernel.bias, "int32") if kernel.bias is not None else 0,
        "x_zero": s.network.scale(kernel.input).zero_point, "y_zero": s.network.scale(kernel.output).zero_point,
        "low": int(kernel.limits[0]), "high": int(kernel.limits[1]),
    }  # fmt: skip
    data = Struct("ek_svdf_data", fields | _factor(kernel.first, "first_") | _factor(kernel.second, "second_"))
    operands = [s.operand(kernel.input), s.operand(kernel.state)]
    s.step("ek_svdf_s8", kernel, operands, s.output(kernel.output), Struct("ek_svdf_shape", {**shape}), data,
           behind=[None, None])  # fmt: skip


def lstm(s: McuScheduler, kernel: kernels.Lstm) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    x = s.shape(kernel.input)
    steps, batch = x[:2] if kernel.time_major else x[1::-1]
    cells, outputs = kernel.forget_gate.recurrent_weights.shape
    shape = Struct("ek_lstm_shape", {
        "batch": batch, "steps": steps, "in": x[2], "cells": cells, "out": outputs,
        "time_major": int(kernel.time_major),
    })  # fmt: skip
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
    operands = [s.operand(index) for index in (kernel.input, kernel.activation_state, kernel.cell_state)]
    s.step("ek_lstm_s8", kernel, operands, s.output(kernel.output), shape, Struct("ek_lstm_data", fields), 7 * cells,
           [None, None, None])  # fmt: skip


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
