#!/usr/bin/env python3
"""Run this bundle on the board, with Python.

    python3 run.py                    check the golden samples, print OK and the latency
    python3 run.py --help             the options it shares with edgekit-run

Uses the C runner beside it (edgekit-run), which needs nothing else; where that cannot run (a C library older than
LiteRT's), or with --python, the package ai-edge-litert or tflite-runtime. Works with Python 3.7 and numpy.
"""

# ruff: noqa: B905 (boards have Pythons as old as 3.7, whose zip has no strict)

import argparse
import contextlib
import ctypes
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
USAGE, MODEL, TOOL, OTHER = 2, 3, 4, 6
PIP = "python3 -m pip install"


def fail(status, message):
    sys.stderr.write(f"run.py: {message}\n")
    sys.exit(status)


def main():
    parser = argparse.ArgumentParser(description="Run a TFLite model on this board.")
    parser.add_argument("--library", help="ignored: the Python package brings its own")
    parser.add_argument("--model", default=os.path.join(HERE, "..", "model.tflite"))
    parser.add_argument("--inputs", help="per sample, each input's raw bytes; without it, golden.npz is checked")
    parser.add_argument("--outputs", help="write each sample's outputs, in the same form")
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=0, help="timed inferences")
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trace", help="write what was observed, as JSON")
    parser.add_argument("--profile", action="store_true", help="ignored: only edgekit-run observes operators")
    parser.add_argument("--delegate", help="a delegate's library, libedgetpu.so.1 for example; implies --python")
    parser.add_argument("--python", action="store_true", help="do not try edgekit-run")
    args = parser.parse_args()
    if args.inputs:
        network = Network(args.model, args.threads, args.delegate)
        run_files(network, args)
    else:
        check_golden(args)


class Network:
    """A model in LiteRT's Python interpreter. Its state, where it has one, is reset before each sample."""

    def __init__(self, model, threads, delegate=None):
        interpreter, load_delegate, self.runtime = find_interpreter()
        start = time.perf_counter()
        noise = io.StringIO()  # numpy prints pages about a runtime that was built for another version of it
        try:
            options = {}
            if delegate:
                ctypes.CDLL(delegate)  # where it is missing, this says so without noise
                options["experimental_delegates"] = [load_delegate(delegate)]
            with contextlib.redirect_stderr(noise):
                self.interpreter = interpreter(model_path=model, num_threads=threads, **options)
            self.interpreter.allocate_tensors()
        except (AttributeError, ImportError, SystemError) as error:
            if "numpy" in noise.getvalue().lower() or "numpy" in brief(error).lower():
                have = f"{self.runtime} does not work with numpy {numpy().__version__}"
                fail(TOOL, f"{have}: {PIP} 'numpy<2', or ai-edge-litert in its place")
            fail(TOOL, f"{self.runtime} does not work: {brief(error)}")
        except (ValueError, RuntimeError, OSError) as error:
            fail(MODEL, "the runtime refuses the model: " + brief(error))
        self.init_ms = 1e3 * (time.perf_counter() - start)
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()

    def write(self, arrays):
        for detail, array in zip(self.inputs, arrays):
            self.interpreter.set_tensor(detail["index"], array)

    def run(self, arrays):
        self.interpreter.reset_all_variables()
        self.write(arrays)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(detail["index"]) for detail in self.outputs]

    def time(self, samples, warmup, repeat):
        for i in range(warmup):
            self.run(samples[i % len(samples)])
        latency_ms = []
        for i in range(repeat):
            self.write(samples[i % len(samples)])
            start = time.perf_counter()
            self.interpreter.invoke()
            latency_ms.append(1e3 * (time.perf_counter() - start))
        return latency_ms


def find_interpreter():
    """Return the interpreter's class, what loads delegates, and the runtime's name and version."""
    found = []
    for name, shown in (("ai_edge_litert", "litert"), ("tflite_runtime", "tflite-runtime")):
        try:
            package = importlib.import_module(name)
            module = importlib.import_module(name + ".interpreter")
        except ImportError as error:
            if getattr(error, "name", None) != name:  # it is here, but does not load
                found.append(f"{shown}: {brief(error)}")
            continue
        version = getattr(package, "__version__", "")
        return module.Interpreter, module.load_delegate, f"{shown} {version}".strip()
    why = f" ({'; '.join(found)})" if found else ""
    return fail(TOOL, f"no runtime{why}: {PIP} ai-edge-litert (on older systems: tflite-runtime 'numpy<2')")


def numpy():
    """The package, which some systems lack."""
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        return fail(
            TOOL, f"Python's numpy is missing ({brief(error)}): {PIP} numpy (edgekit-run itself needs no Python)"
        )


def brief(error):
    return " ".join(str(error).split())[:300]


def run_files(network, args):
    np = numpy()

    try:
        with open(args.inputs, "rb") as file:
            data = file.read()
    except OSError as error:
        fail(OTHER, f"cannot read {args.inputs}: {error.strerror}")
    sizes = [int(np.prod(d["shape"])) * np.dtype(d["dtype"]).itemsize for d in network.inputs]
    if args.samples < 1 or len(data) != args.samples * sum(sizes):
        needed = args.samples * sum(sizes)
        fail(USAGE, f"{args.inputs} has {len(data)} bytes, {args.samples} samples need {needed}")
    samples, at = [], 0
    for _ in range(args.samples):
        arrays = []
        for detail, size in zip(network.inputs, sizes):
            piece = np.frombuffer(data, detail["dtype"], size // np.dtype(detail["dtype"]).itemsize, at)
            arrays.append(piece.reshape(detail["shape"]))
            at += size
        samples.append(arrays)
    if args.outputs:
        with open(args.outputs, "wb") as file:
            for arrays in samples:
                for array in network.run(arrays):
                    file.write(array.tobytes())
    latency_ms = network.time(samples, args.warmup, args.repeat)
    if args.trace:
        trace = {
            "schema": 1,
            "runtime": network.runtime,
            "threads": args.threads,
            "init_ms": network.init_ms,
            "latency_ms": latency_ms,
            "profiled_inferences": 0,
            "events": [],
            "readings_ns": [],
            "power": None,
            "peak_ram_bytes": peak_bytes(),
            "machine": machine(),
        }
        with open(args.trace, "w") as file:
            json.dump(trace, file)


def read_text(path):
    try:
        with open(path) as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""


def peak_bytes():
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def machine():
    clock = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    cpu = [
        line.split(":")[1].strip()
        for line in read_text("/proc/cpuinfo").splitlines()
        if line.startswith(("model name", "CPU part"))
    ]
    return {
        "model": read_text("/sys/firmware/devicetree/base/model"),
        "cpu": cpu[0] if cpu else "",
        "clock_mhz": int(clock) // 1000 if clock.isdigit() else 0,
    }


def check_golden(args):
    """Compare this board's outputs with the reference's and print the verdict."""
    np = numpy()

    try:
        golden = np.load(os.path.join(HERE, "..", "golden.npz"), allow_pickle=False)
        inputs = [golden[f"input{i}"] for i in range(sum(n.startswith("input") for n in golden.files))]
        expected = [golden[f"output{i}"] for i in range(sum(n.startswith("output") for n in golden.files))]
    except (OSError, ValueError, KeyError) as error:
        fail(OTHER, f"cannot read golden.npz: {error}")
    repeat, warmup = args.repeat or 50, args.warmup or 5
    found = None if args.python or args.delegate else run_c(args, inputs, expected, warmup, repeat)
    if found is None:
        network = Network(args.model, args.threads, args.delegate)
        samples = [[array[i] for array in inputs] for i in range(len(inputs[0]))]
        outputs = [np.stack(column) for column in zip(*[network.run(sample) for sample in samples])]
        found = network.runtime, outputs, network.time(samples, warmup, repeat)
    runtime, outputs, latency_ms = found
    worst = max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(outputs, expected))
    flips = sum(int(a.reshape(-1).argmax() != b.reshape(-1).argmax()) for a, b in zip(outputs[0], expected[0]))
    whole = expected[0].dtype.kind in "iu"
    verdict = "OK" if worst <= (1 if whole else 1e-3) else "OK, labels agree" if flips == 0 else "DIFFERS"
    count, unit = len(expected[0]), " LSB" if whole else ""
    print(f"{verdict}: {count} samples, largest difference {worst:g}{unit}, {flips} of {count} labels differ")
    median = float(np.median(latency_ms))
    print(f"{runtime}, {args.threads} thread(s): {median:.3f} ms (median of {repeat})")
    sys.exit(0 if verdict.startswith("OK") else 5)


def run_c(args, inputs, expected, warmup, repeat):
    """Run the golden samples with edgekit-run; None where it does not run on this system."""
    np = numpy()

    runner, library = os.path.join(HERE, "edgekit-run"), os.path.join(HERE, "libLiteRt.so")
    with tempfile.TemporaryDirectory() as folder:
        files = {name: os.path.join(folder, name) for name in ("in", "out", "trace")}
        samples = len(inputs[0])
        with open(files["in"], "wb") as file:
            for i in range(samples):
                for array in inputs:
                    file.write(array[i].tobytes())
        command = [
            runner,
            "--library",
            library,
            "--model",
            args.model,
            "--inputs",
            files["in"],
            "--outputs",
            files["out"],
            "--trace",
            files["trace"],
            "--samples",
            str(samples),
            "--repeat",
            str(repeat),
            "--warmup",
            str(warmup),
            "--threads",
            str(args.threads),
        ]
        try:
            if subprocess.call(command, stderr=subprocess.DEVNULL):
                return None
        except OSError:
            return None
        with open(files["trace"]) as file:
            trace = json.load(file)
        with open(files["out"], "rb") as file:
            data = file.read()
    size, at, outputs = len(data) // samples, 0, []
    for array in expected:
        rows = [np.frombuffer(data, array.dtype, array[0].size, i * size + at) for i in range(samples)]
        outputs.append(np.stack(rows).reshape(array.shape))
        at += array[0].nbytes
    return trace["runtime"], outputs, trace["latency_ms"]


if __name__ == "__main__":
    main()
