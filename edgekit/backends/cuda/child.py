"""The child's side of the CUDA backend: calls NVRTC and the driver through ctypes.

Declarations after NVIDIA's NVRTC documentation and its CUDA driver API reference manual.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import DeviceError, EdgekitError, ToolMissing
from edgekit.text.logs import first_error

COMPUTE_CAPABILITY = (75, 76)
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


def compile_kernels(
    args: dict[str, Any], arrays: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compile ``source`` for ``arch`` with the NVRTC at ``library``: its version; the cubin's or the PTX's bytes."""
    tempfile.tempdir = str(folder)
    os.environ["TMPDIR"] = str(folder)
    nvrtc = ctypes.CDLL(args["library"])
    program, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
    _checked(nvrtc, nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    given = args["source"].encode(), b"kernels.cu"
    _checked(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), *given, 0, None, None))
    options = [f"--gpu-architecture={args['arch']}".encode(), b"--std=c++14", b"--fmad=true"]
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    if status:
        log = _bytes(nvrtc, program, "nvrtcGetProgramLog").decode(errors="replace")
        first = first_error(log)
        raise EdgekitError(f"NVRTC refuses the kernels: {first}", "please report this, with the network")
    kind = "CUBIN" if args["arch"].startswith("sm_") else "PTX"
    image = _bytes(nvrtc, program, f"nvrtcGet{kind}")
    return {"version": f"{major.value}.{minor.value}"}, {"image": np.frombuffer(image, np.uint8)}


def _bytes(nvrtc: Any, program: Any, getter: str) -> bytes:
    size = ctypes.c_size_t()
    _checked(nvrtc, getattr(nvrtc, f"{getter}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _checked(nvrtc, getattr(nvrtc, getter)(program, text))
    return text.raw


def _checked(nvrtc: Any, status: int) -> None:
    if status:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise EdgekitError(f"NVRTC fails: {nvrtc.nvrtcGetErrorString(status).decode()}", "install it again")


def device(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Name and architecture (87 for sm_87) of this machine's first CUDA device.

    :raises ToolMissing: if there is no driver. :raises DeviceError: if it has no device.
    """
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # workers hide devices from TensorFlow
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise ToolMissing(
            "there is no CUDA driver on this machine: libcuda.so.1 cannot be loaded",
            "run it on the device, or --on cuda-emulator",
        ) from error
    number, name, parts = ctypes.c_int(), ctypes.create_string_buffer(128), [ctypes.c_int(), ctypes.c_int()]
    status = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(number), 0) or cuda.cuDeviceGetName(name, 127, number)
    for part, attribute in zip(parts, COMPUTE_CAPABILITY, strict=True):
        status = status or cuda.cuDeviceGetAttribute(ctypes.byref(part), attribute, number)
    if status:
        raise DeviceError(f"the CUDA driver finds no device on this machine (error {status})", "nvidia-smi says more")
    return {"name": name.value.decode(errors="replace"), "arch": 10 * parts[0].value + parts[1].value}, {}
