# mypy: ignore-errors
"""Dot products of four bytes: the processor's instructions as TVM's tensor intrinsics.

TVM 0.27's own ``dot_16x4_vnni`` does not compile with its LLVM (the operands of vpdpbusd changed), and its sdot
intrinsic has no accumulators that stay local; so both are described here. TVMScript is not checked by mypy.
"""

from __future__ import annotations

from typing import Any

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

_registered: set[str] = set()


def register(kind: str, lanes: int) -> str:
    """Register the intrinsic once and return its name.

    :param kind: ``vnni`` (uint8 by int8) or ``sdot`` (int8 by int8). :param lanes: outputs of one instruction.
    """
    name = f"edgekit_{kind}_{lanes}"
    if name not in _registered:
        _registered.add(name)
        TensorIntrin.register(name, *(_vnni(lanes) if kind == "vnni" else _sdot(lanes)))
    return name


def _described(lanes: int, dtype: str) -> Any:
    @T.prim_func(s_tir=True)
    def described(
        A: T.Buffer((4,), dtype, offset_factor=1),
        B: T.Buffer((lanes, 4), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            for i in T.serial(0, lanes):
                for k in T.serial(0, 4):
                    with T.sblock("update"):
                        vi, vk = T.axis.remap("SR", [i, k])
                        C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    return described


def _vnni(lanes: int) -> tuple[Any, Any]:
    name = {16: "llvm.x86.avx512.vpdpbusd.512", 8: "llvm.x86.avx512.vpdpbusd.256"}[lanes]
    wide, bytes_ = f"int32x{lanes}", f"int8x{4 * lanes}"

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((4,), "uint8", offset_factor=1),
        B: T.Buffer((lanes, 4), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
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

    return _described(lanes, "uint8"), computed


def _sdot(lanes: int) -> tuple[Any, Any]:
    wide, bytes_ = f"int32x{lanes}", f"int8x{4 * lanes}"
    name = f"llvm.aarch64.neon.sdot.v{lanes}i32.v{4 * lanes}i8"

    @T.prim_func(s_tir=True)
    def computed(
        A: T.Buffer((4,), "int8", offset_factor=1),
        B: T.Buffer((lanes, 4), "int8", offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1, scope="local"),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(name),
                C.vload([0], dtype=wide),
                T.reinterpret(T.broadcast(T.reinterpret(A.vload([0], "int8x4"), dtype="int32"), lanes), dtype=bytes_),
                B.vload([0, 0], dtype=bytes_),
                dtype=wide,
            )

    return _described(lanes, "int8"), computed
