"""The structures of ``edgekit.h``."""

from __future__ import annotations

import ctypes


class Tensor(ctypes.Structure):
    """``struct edgekit_tensor``."""

    _fields_ = [
        ("name", ctypes.c_char_p), ("dtype", ctypes.c_char_p), ("type", ctypes.c_int32), ("rank", ctypes.c_uint32),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("bytes", ctypes.c_size_t), ("scale", ctypes.c_double),
        ("zero_point", ctypes.c_int64),
    ]  # fmt: skip


class Options(ctypes.Structure):
    """``struct edgekit_options``."""

    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_int32), ("flags", ctypes.c_uint32)]


class Picture(ctypes.Structure):
    """``struct edgekit_picture``."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("data", ctypes.c_void_p), ("width", ctypes.c_uint32), ("height", ctypes.c_uint32),
        ("stride", ctypes.c_size_t), ("pixels", ctypes.c_int32),
    ]  # fmt: skip


class Sound(ctypes.Structure):
    """``struct edgekit_sound``."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("data", ctypes.c_void_p), ("count", ctypes.c_uint64), ("rate", ctypes.c_uint32),
        ("channels", ctypes.c_uint32), ("samples", ctypes.c_int32), ("clip", ctypes.c_uint32),
    ]  # fmt: skip


class Clip(ctypes.Structure):
    """``struct edgekit_clip_format``."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("rate", ctypes.c_uint32), ("length", ctypes.c_uint32), ("step", ctypes.c_uint32),
    ]  # fmt: skip


class Anomaly(ctypes.Structure):
    """``struct edgekit_anomaly_sum``."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("sum", ctypes.c_double), ("clips", ctypes.c_uint32), ("anomalous", ctypes.c_int32),
        ("score", ctypes.c_double),
    ]  # fmt: skip


class Spoken(ctypes.Structure):
    """``struct edgekit_spoken``."""

    _fields_ = [
        ("number", ctypes.c_uint32), ("score", ctypes.c_float), ("start", ctypes.c_float), ("label", ctypes.c_char_p),
    ]  # fmt: skip


class Transcript(ctypes.Structure):
    """``struct edgekit_transcript_part``."""

    _fields_ = [
        ("size", ctypes.c_size_t), ("clip", ctypes.c_uint32), ("last", ctypes.c_uint32), ("count", ctypes.c_uint32),
        ("labels", ctypes.POINTER(Spoken)), ("text", ctypes.c_char_p),
    ]  # fmt: skip


class Cell(ctypes.Structure):
    """``struct edgekit_cell``."""

    _fields_ = [("number", ctypes.c_double), ("text", ctypes.c_char_p)]


class Class(ctypes.Structure):
    """``struct edgekit_class``."""

    _fields_ = [("number", ctypes.c_uint32), ("score", ctypes.c_float), ("label", ctypes.c_char_p)]


class Detection(ctypes.Structure):
    """``struct edgekit_detection``."""

    _fields_ = [
        ("number", ctypes.c_uint32), ("score", ctypes.c_float), ("left", ctypes.c_float), ("top", ctypes.c_float),
        ("right", ctypes.c_float), ("bottom", ctypes.c_float), ("label", ctypes.c_char_p),
    ]  # fmt: skip


class Neighbour(ctypes.Structure):
    """``struct edgekit_neighbour``."""

    _fields_ = [
        ("number", ctypes.c_uint32), ("cosine", ctypes.c_float), ("known", ctypes.c_int32), ("label", ctypes.c_char_p),
    ]  # fmt: skip
