# mypy: ignore-errors
"""Dot products of four bytes: the processor's instructions as TVM's tensor intrinsics.

TVM 0.27's own ``dot_16x4_vnni`` does not compile with its LLVM (the operands of vpdpbusd changed), and its sdot
intrinsic has no accumulators that stay local; so both are described here. TVMScript is not checked by mypy.
"""

from __future__ import annotations

from typing import Any

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from edgekit.codegen.schedule.packing import GROUPS

_registered: set[str] = set()


def register(kind: str, lanes: int) -> str:
    """Register the intrinsic once and return its name.

    :param kind: ``vnni`` (uint8 by int8), ``sdot``, ``sdot8``, ``sdot16`` (int8 by int8, 4, 8 or 16 of them),
        ``mlal`` (4 of them without dot product instructions; two products must fit 16 bits).
    :param lanes: outputs of one instruction.
    """
    name = f"edgekit_{kind}_{lanes}"
    if name not in _registered:
        _registered.add(name)
        groups, each = GROUPS[kind]
        dtype = "uint8" if kind == "vnni" else "int8"
        described = _described(lanes, dtype) if groups == 1 else _grouped(lanes, groups, each, dtype)
        computed = {"vnni": _vnni, "sdot": _sdot, "sdot8": _sdot8, "sdot16": _sdot16, "mlal": _mlal}[kind](lanes)
        TensorIntrin.register(name, described, computed)
    return name


def _described(lanes: int, dtype: str) -> Any:
    @T.prim_func(s_tir=True)
    def described(
        A: T.Buffer((4,), dtype, offset_factor=1),
        B: T.Buffer((lanes, 4), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    return described


def _grouped(lanes: int, groups: int, each: int, dtype: str) -> Any:
    @T.prim_func(s_tir=True)
    def described(
        A: T.Buffer((groups * each,), dtype, offset_factor=1),
        B: T.Buffer((groups, lanes, each), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : groups * each], B[0:groups, 0:lanes, 0:each])
            T.writes(C[0:lanes])
            for i, g, k in T.grid(lanes, groups, each):
                with T.sblock("update"):
                    vi, vg, vk = T.axis.remap("SRR", [i, g, k])
                    C[vi] = C[vi] + T.cast(A[vg * each + vk], "int32") * T.cast(B[vg, vi, vk], "int32")

    return described


def _vnni(lanes: int) -> Any:
    name = {16: "llvm.x86.avx512.vpdpbusd.512", 8: "llvm.x86.avx512.vpdpbusd.256"}[lanes]
    wide, bytes_ = f"int32x{lanes}", f"int8x{4 * lanes}"

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((4,), "uint8", offset_factor=1),
        B: T.Buffer((lanes, 4), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(name),
                C.vload([0], dtype=wide),
                T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "uint8x4"), dtype="int32"), lanes), dtype=bytes_),
                B.vload([0, 0], dtype=bytes_),
                dtype=wide,
            )

    return computed


SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"


def _sdot(lanes: int) -> Any:
    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((4,), "int8", offset_factor=1),
        B: T.Buffer((4, 4), "int8", offset_factor=1),
        C: T.Buffer((4,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:4], A[0:4], B[0:4, 0:4])
            T.writes(C[0:4])
            C[T.ramp(T.int32(0), 1, 4)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(SDOT),
                C.vload([0], dtype="int32x4"),
                T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "int8x4"), dtype="int32"), 4), dtype="int8x16"),
                B.vload([0, 0], dtype="int8x16"),
                dtype="int32x4",
            )

    return computed


def _sdot8(lanes: int) -> Any:
    """Two dot products whose bytes come from one register."""

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((8,), "int8", offset_factor=1),
        B: T.Buffer((2, 4, 4), "int8", offset_factor=1),
        C: T.Buffer((4,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:4], A[0:8], B[0:2, 0:4, 0:4])
            T.writes(C[0:4])
            for g in T.unroll(2):
                C[T.ramp(T.int32(0), 1, 4)] = T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id(SDOT),
                    C.vload([0], dtype="int32x4"),
                    B.vload([g, 0, 0], dtype="int8x16"),
                    T.reinterpret(
                        T.broadcast(T.Shuffle([T.reinterpret(A.vload([0], "int8x8"), dtype="int32x2")], [g]), 4),
                        dtype="int8x16",
                    ),
                    dtype="int32x4",
                )

    return computed


def _sdot16(lanes: int) -> Any:
    """Four dot products whose bytes come from one register: no broadcasts, LLVM takes the instruction by lane."""

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((16,), "int8", offset_factor=1),
        B: T.Buffer((4, 4, 4), "int8", offset_factor=1),
        C: T.Buffer((4,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:4], A[0:16], B[0:4, 0:4, 0:4])
            T.writes(C[0:4])
            for g in T.unroll(4):
                C[T.ramp(T.int32(0), 1, 4)] = T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id(SDOT),
                    C.vload([0], dtype="int32x4"),
                    B.vload([g, 0, 0], dtype="int8x16"),
                    T.reinterpret(
                        T.broadcast(T.Shuffle([T.reinterpret(A.vload([0], "int8x16"), dtype="int32x4")], [g]), 4),
                        dtype="int8x16",
                    ),
                    dtype="int32x4",
                )

    return computed


def _mlal(lanes: int) -> Any:
    """Two products a lane in 16 bits (smull, smlal), then added by pairs to 32 bits (sadalp)."""

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((4,), "int8", offset_factor=1),
        B: T.Buffer((2, 4, 2), "int8", offset_factor=1),
        C: T.Buffer((4,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:4], A[0:4], B[0:2, 0:4, 0:2])
            T.writes(C[0:4])
            C[T.ramp(T.int32(0), 1, 4)] = C.vload([0], dtype="int32x4") + T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.saddlp.v4i32.v8i16"),
                T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.smull.v8i16"),
                    B.vload([0, 0, 0], dtype="int8x8"),
                    T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "int8x2"), dtype="int16"), 4), dtype="int8x8"),
                    dtype="int16x8",
                )
                + T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.smull.v8i16"),
                    B.vload([1, 0, 0], dtype="int8x8"),
                    T.reinterpret(T.broadcast(T.reinterpret(A.vload([2], "int8x2"), dtype="int16"), 4), dtype="int8x8"),
                    dtype="int16x8",
                ),
                dtype="int32x4",
            )

    return computed
