"""Loops that TVM's ONNX frontend made."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.codegen.loops import KINDS, Loops


@dataclass(frozen=True)
class Frontend(Loops):
    """A function of TVM's, as JSON (``loops``); ``lanes`` and ``registers`` are the processor's."""

    template = "tir"
    function: str
    shape: tuple[int, ...]
    loops: str
    lanes: int
    registers: int


KINDS[Frontend.__name__] = Frontend
