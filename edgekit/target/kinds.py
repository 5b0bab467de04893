"""Kinds of targets."""

from __future__ import annotations

from enum import StrEnum


class BoardKind(StrEnum):
    """What a target is; it decides which tables its file must have."""

    LINUX = "linux"
    GPU = "gpu"
    PHONE = "phone"
    ACCELERATOR = "accelerator"
    NPU = "npu"
    MCU = "mcu"
    FPGA = "fpga"
    LOGIC = "logic"
    HLS = "hls"
