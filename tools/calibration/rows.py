"""The published measurements as sets of rows that share a board, a runtime, a dtype and their conditions."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.measured import names
from bench.measured.works import works as described
from edgekit.graph import tflite
from edgekit.profiling.calibrated.fit import NOISE
from edgekit.profiling.calibrated.work import Work, works

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FOLDER = SHARED / "measurements"
UNSTATED = 0.2
"""Noise of figures whose threads, clocks and spread are not stated."""
DOT_PRODUCTS = frozenset({"rpi5", "rk3588", "jetson-agx-orin-cpu", "jetson-orin-nano-cpu", "snapdragon-8-gen-2",
                          "dimensity-9300"})  # fmt: skip
"""Boards whose processors have instructions for dot products of bytes: Armv8.2's, which Carmel (Xavier) leaves out."""


@dataclass(frozen=True)
class Row:
    """One measured network: what is left out together is its ``family``. ``watts``: 0 where none were measured.

    ``emulated``: not measured but counted in edgekit's emulator; it guides a fit, and judges nothing.
    """

    network: str
    family: str
    latency_ms: float
    threads: int
    watts: float = 0.0
    emulated: bool = False


@dataclass
class Set:
    """Rows of one board, runtime and dtype.

    :param group: boards that share structure. :param threads: what an estimate assumes if nobody says.
    :param scaling: True if rows of it, or of a board of its group, were measured with several numbers of threads.
    :param noise: standard deviation of a row's logarithm that no fit explains.
    """

    target: str
    runtime: str
    dtype: str
    group: str
    threads: int
    clock_mhz: float
    source: str
    scaling: bool = False
    power_mode: str = ""
    scope: str = ""
    noise: float = NOISE
    rows: list[Row] = field(default_factory=list)

    @property
    def measured(self) -> list[Row]:
        """The rows that were measured."""
        return [row for row in self.rows if not row.emulated]

    @property
    def key(self) -> tuple[str, str, str]:
        """What a calibration's file is named by."""
        return self.target, self.runtime, self.dtype


def there() -> bool:
    """True if the measurements are on this machine."""
    return FOLDER.is_dir()


def _read(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def work(network: str) -> tuple[Work, ...]:
    """The work of a network of the tables; ``tiny:TASK``: one of MLPerf Tiny's files, ``PATH.tflite``: a shared one."""
    if network.endswith(".tflite") and "/" in network:
        return tuple(works(tflite.read(SHARED / "models" / network)))
    if network.startswith("tiny:"):
        path = next((SHARED / "models" / "mlperf_tiny").glob(f"{network[5:]}*_int8.tflite"))
        return tuple(works(tflite.read(path)))
    return tuple(described(names.describe(network)))


def family(network: str) -> str:
    """The name of a family of architectures, from a network's name."""
    plain = names.split_dtype(network)[0]
    if plain.startswith("|") or plain.startswith("nb201"):
        return "nas-bench-201"
    if "minimalistic" in plain:
        return "mobilenet-v3-minimalistic"
    if match := re.match(r"(?:mobilenet)?[-_ ]?(v[123])[-_ ]", plain):
        return f"mobilenet-{match[1]}"
    if plain in ("mobilenet", "mobilenet_int8"):
        return "mobilenet-v1"
    for pattern in ("efficientnet-lite", "efficientdet-lite", "resnet", "mixnet", "mo[bv]i[vl]e", "efficientformer",
                    "segforme", "yolox", r"yolo\d", "ssd"):  # fmt: skip
        if match := re.match(pattern, plain):
            return match[0]
    return plain


_SYSTEMS = (
    (r"rpi4", "rpi4", 4), (r"xavier", "jetson-agx-xavier-cpu", 8), (r"orin|nvidia_orin", "jetson-agx-orin-cpu", 12),
)  # fmt: skip


def _runtime(framework: str) -> tuple[str, str]:
    """Name of the runtime, and the group of runtimes with the same kernels."""
    version = re.search(r"v?(\d+\.\d+)", framework)
    number = version[1] if version else ""
    if "ArmNN" in framework:
        kind = "opencl" if "OpenCL" in framework else "neon"
        old = "" if float(number) > 22 else "-old"
        return f"armnn-{number}-{kind}", f"armnn-{kind}{old}"
    if "xnnpack" in framework:
        return "tflite-xnnpack", "xnnpack"
    return (f"tflite-{number}-ruy", "ruy") if "ruy" in framework else (f"tflite-{number}", "tflite-1")


def _linux() -> Iterator[tuple[Set, Row]]:
    for r in _read("linux_boards"):
        framework, network = r["framework"], r["model"]
        if "TensorRT" in framework or "Coral" in r["accelerator"]:
            continue
        plain, dtype = names.split_dtype(network)
        try:
            names.describe(network)
        except names.UnknownNetwork:
            continue
        runtime, group = _runtime(framework)
        clock = float(re.findall(r"[\d.]+", r["cpu_freq"])[0])
        if r["system"].startswith("firefly"):
            target, cores = ("rk3588", 4) if "3588" in r["cpu"] else ("rk3399", 2)
        else:
            target, cores = next((t, n) for p, t, n in _SYSTEMS if re.match(p, r["system"]))
        if target.startswith("rk3") and "opencl" not in group:
            group += "-big-little"  # these runs are bimodal: on which cores they ran is not stated
        one = group == "xnnpack"
        integer = dtype == "int8"
        if integer and group == "xnnpack" and "uint8" in network:
            group, runtime, one = "ruy", "tflite-xnnpack-uint8", False  # XNNPACK leaves uint8 to TFLite's own kernels
        if "armnn_cpp" in r["system"]:
            runtime = "tflite-armnn-delegate-22.11"
        mode = "MAXN" if "power.0" in r["system"] else ""
        threads = 1 if one or "opencl" in group else cores
        source = "MLPerf Inference, edge, SingleStream (mlcommons/inference_results, Apache-2.0)"
        yield (
            Set(target, runtime, "int8" if integer else "float32", group, threads, clock, source, one, mode, "wall"),
            Row(network, family(plain), float(r["mean_ms"]), threads, float(r["avg_system_power_W"] or 0)),
        )


_TENSORRT = {"AGX_Xavier_TRT": ("jetson-agx-xavier", 1377.0), "Xavier": ("jetson-agx-xavier", 1377.0),
             "Xavier_NX_TRT": ("jetson-xavier-nx", 1100.0)}  # fmt: skip


def _tensorrt() -> Iterator[tuple[Set, Row]]:
    """NVIDIA's own runs, int8; its MaxQ runs, at lower clocks, and Orin's, all of one network, are left aside."""
    source = "MLPerf Inference, edge, SingleStream (mlcommons/inference_results, Apache-2.0)"
    for r in _read("linux_boards"):
        known = _TENSORRT.get(r["system"])
        if known is None or "TensorRT" not in r["framework"]:
            continue
        try:
            names.describe(r["model"])
        except names.UnknownNetwork:
            continue
        yield (
            Set(known[0], "tensorrt", "int8", "tensorrt", 1, known[1], source),
            Row(r["model"], family(r["model"]), float(r["mean_ms"]), 1),
        )


_PI = {"N100": ("n100", 3400.0), "RasPi4_64bit": ("rpi4", 1800.0), "RasPi5": ("rpi5", 2400.0)}


def _efficientdet() -> Iterator[tuple[Set, Row]]:
    source = "NobuoTsukamoto/benchmarks, benchmark_model of TFLite 2.18 (MIT)"
    for r in _read("pi_efficientdet"):
        if r["device"] in _PI:
            target, clock = _PI[r["device"]]
            dtype = {"fp32": "float32", "fp16": "float16", "int8": "int8"}[names.split_dtype(r["model"])[1]]
            yield (
                Set(target, "tflite-2.18-xnnpack", dtype, "xnnpack", 4, clock, source, True),
                Row(r["model"], family(r["model"]), float(r["avg_ms"]), int(r["threads"])),
            )


_MATRIX = {"Raspberry Pi 5": ("rpi5", 2400.0), "Raspberry Pi 4B": ("rpi4", 1800.0),
           "Raspberry Pi 3B PLUS": ("rpi3b-plus", 1400.0), "Raspberry Pi Zero 2 W": ("rpi-zero-2w", 1000.0),
           "Jetson Orin Nano": ("jetson-orin-nano", 625.0), "Jetson AGX Orin": ("jetson-agx-orin", 1300.0),
           "Jetson Nano": ("jetson-nano", 921.0), "Jetson NX": ("jetson-xavier-nx", 1100.0),
           "Jetson TX2": ("jetson-tx2", 1300.0), "Jetson Xavier": ("jetson-agx-xavier", 1377.0)}  # fmt: skip


def _matrix() -> Iterator[tuple[Set, Row]]:
    source = "Nota-NetsPresso/netspresso-trainer, table of devices (Apache-2.0)"
    for r in _read("device_matrix"):
        if r["device"] not in _MATRIX or r["runtime"] not in ("tflite", "tensorrt"):
            continue
        target, clock = _MATRIX[r["device"]]
        dtype = {"FP16": "float16", "INT8": "int8"}[r["precision"]]
        gpu = r["runtime"] == "tensorrt"
        runtime, threads = ("tensorrt", 1) if gpu else ("tflite-xnnpack", 4)
        yield (
            Set(target, runtime, dtype, "tensorrt" if gpu else "xnnpack", threads, clock, source, not gpu,
                noise=UNSTATED),
            Row(r["model"], family(r["model"]), float(r["ms"]), threads),
        )  # fmt: skip


def _yolobench() -> Iterator[tuple[Set, Row]]:
    source = "Deeplite/deeplite-torch-zoo, YOLOBench (Apache-2.0)"
    for r in _read("yolobench"):
        name = r["model_name"]
        pi = Set("rpi4", "tflite", "float32", "tflite", 4, 1500.0, source, True)
        yield pi, Row(name, family(name), 1e3 * float(r["raspi4_tflite_latency"]), 4)
        nano = Set("jetson-nano", "onnxruntime", "float32", "onnxruntime-gpu", 1, 921.0, source)
        yield nano, Row(name, family(name), 1e3 * float(r["nano_gpu_latency"]), 1)


_PHONES = {"raspi4_ms": ("rpi4", 1500.0), "pixel3_ms": ("pixel-3", 2500.0), "pixel2_ms": ("pixel-2", 2350.0),
           "samsung_a50_ms": ("galaxy-a50", 2300.0), "samsung_s7_ms": ("galaxy-s7", 2300.0)}  # fmt: skip


def _nb201() -> Iterator[tuple[Set, Row]]:
    """On one thread: a Raspberry Pi 4 does 1.9 billion multiplications a second here, 9 in YOLOBench's rows."""
    source = "HayeonLee/HELP, NAS-Bench-201 with TFLite (MIT)"
    for r in _read("nb201_phones_pi4"):
        for column, (target, clock) in _PHONES.items():
            if float(r[column] or 0) > 0:
                yield (
                    Set(target, "tflite", "float32", "tflite", 1, clock, source, target == "rpi4"),
                    Row(r["arch_str"], "nas-bench-201", float(r[column]), 1),
                )


_NCNN = (
    (r"Raspberry Pi 3 Model B\+", "rpi3b-plus", 1400.0), (r"Raspberry Pi 4", "rpi4", 1800.0),
    (r"Raspberry Pi 5 .*2712, ", "rpi5", 2400.0), (r"Raspberry Pi Zero 2 W", "rpi-zero-2w", 1000.0),
    (r"Rockchip RK3399|OrangePi4 LTS", "rk3399", 1800.0), (r"Rockchip RK3588|OrangePi5|Station-M3", "rk3588", 2400.0),
    (r"NVIDIA Jetson AGX Orin", "jetson-agx-orin", 2200.0), (r"NVIDIA Jetson AGX Xavier", "jetson-agx-xavier", 2200.0),
    (r"NVIDIA Jetson Nano", "jetson-nano", 1430.0), (r"NVIDIA Jetson Orin Nano", "jetson-orin-nano", 1510.0),
    (r"Qualcomm SM8550", "snapdragon-8-gen-2", 3200.0), (r"MediaTek Dimensity 9300", "dimensity-9300", 3250.0),
)  # fmt: skip


_FAST_CORES = {"rk3399": 2, "rk3588": 4, "snapdragon-8-gen-2": 4, "dimensity-9300": 4}
"""Processors with several kinds of cores: with more threads than these, slow cores decide."""
_IMPOSSIBLE = "Station-M3"
"""Its GPU would multiply 2,900 billion times a second, several times what a Mali-G610 can."""


def _ncnn() -> Iterator[tuple[Set, Row]]:
    source = "Tencent/ncnn, benchmark table, shortest of the runs (BSD-3-Clause)"
    for r in _read("ncnn_boards"):
        target, clock = next(((t, c) for p, t, c in _NCNN if re.match(p, r["device"])), ("", 0.0))
        plain = re.sub(r"[-_]int8$", "", r["model"])
        try:
            names.describe(plain)
        except names.UnknownNetwork:
            continue
        gpu = int(r["gpu_device"] or -1) >= 0
        if not target or float(r["min_ms"] or 0) <= 0 or (not gpu and r["powersave"] == "1"):
            continue
        if not gpu and re.match(r"jetson-(agx-(orin|xavier)|orin-nano)$", target):
            target += "-cpu"
        threads = 1 if gpu else int(r["threads"] or 1)
        if threads > _FAST_CORES.get(target, threads) or (gpu and r["device"].startswith(_IMPOSSIBLE)):
            continue
        dtype = "int8" if r["dtype"] == "int8" else "float32"
        usual = 1 if gpu or target in ("snapdragon-8-gen-2", "dimensity-9300") else 4  # those targets are one big core
        if gpu and dtype == "int8":
            continue  # ncnn computes these on the processor
        yield (
            Set(target, "ncnn-vulkan" if gpu else "ncnn", dtype, "ncnn-vulkan" if gpu else "ncnn", usual, clock,
                source, True),
            Row(plain, family(plain), float(r["min_ms"]), threads),
        )  # fmt: skip


_BOARDS = {"l4r5zi": "nucleo-l4r5zi", "h7a3zi": "stm32h7a3", "u575zi": "nucleo-u575", "ra8d1": "ra8d1"}
_FRAMEWORKS = (("x-cube", "x-cube-ai"), ("microtvm", "microtvm"), ("onnc", "onnc"), ("tflite", "tflm"),
               ("tensorflow lite", "tflm"))  # fmt: skip
_TASKS = {"ad": "ad", "anomaly_detection": "ad", "ic": "ic", "image_classification": "ic", "kws": "kws",
          "keyword_spotting": "kws", "vww": "vww"}  # fmt: skip


def _mcu() -> Iterator[tuple[Set, Row]]:
    source = "MLPerf Tiny (mlcommons/tiny_results, Apache-2.0)"
    for r in _read("mcu_boards"):
        system = r["system"].lower().replace("_", "").replace("-", "")
        target = next((t for key, t in _BOARDS.items() if key in system), "")
        name = r["framework"].lower()
        runtime = next((new for old, new in _FRAMEWORKS if old in name), "")
        latency, microjoules = float(r["latency_ms"]), float(r["energy_uJ_per_inf"] or 0)
        if target and runtime and r["division"] != "reference-only":
            yield (
                Set(target, runtime, "int8", "mcu", 1, float(r["clock_mhz"]), source, scope="board_supply"),
                Row(f"tiny:{_TASKS[r['task']]}", f"tiny-{_TASKS[r['task']]}", latency, 1, microjoules / latency / 1e3),
            )


def _emulated() -> Iterator[tuple[Set, Row]]:
    """Small networks, which nobody measured on these boards: without them, costs of dispatch would be guesses."""
    source = "small networks counted in edgekit's emulator (tools/calibration/emulated.csv)"
    with (Path(__file__).parent / "emulated.csv").open(newline="") as file:
        for r in csv.DictReader(file):
            dtype = "int8" if "fp32" not in r["network"] else "float32"
            clock = {"rpi4": 1800.0, "rpi5": 2400.0}[r["target"]]
            yield (
                Set(r["target"], "tflite-2.18-xnnpack", dtype, "xnnpack", 4, clock, source, True),
                Row(r["network"], "emulated", float(r["ms"]), int(r["threads"]), emulated=True),
            )


_SOURCES = (_linux, _tensorrt, _efficientdet, _matrix, _yolobench, _nb201, _ncnn, _mcu, _emulated)


def sets() -> list[Set]:
    """All sets, in a fixed order; sets of the same board, runtime and dtype are one."""
    found: dict[tuple[str, str, str], Set] = {}
    for source in _SOURCES:
        for kind, row in source():
            one = found.setdefault(kind.key, kind)
            one.rows.append(row)
            if kind.source not in one.source:
                one.source += f"; {kind.source}"
    return [found[key] for key in sorted(found)]
