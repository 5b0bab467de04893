"""The build systems that a network in C is handed over to."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What ``c99.format`` may be."""

    CMAKE = "cmake"
    ARDUINO = "arduino"
    ZEPHYR = "zephyr"
    PLATFORMIO = "platformio"
    PICO_SDK = "pico-sdk"
