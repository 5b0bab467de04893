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
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
USAGE, MODEL, TOOL, OTHER = 2, 3, 4, 6
PIP = "python3 -m venv ~/litert && ~/litert/bin/pip install"
"""Many systems refuse packages outside of a virtual environment (PEP 668), Raspberry Pi OS among them."""
THEN = "then ~/litert/bin/python artifact/run.py"

EDGETPU = ": sudo apt-get install libedgetpu1-std (from Coral's repository, coral.ai/docs)"
HAND_OVER = ": make it with edgetpu_compiler, as the bundle's README.md says"


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


def has_resources(interpreter):
    """True if a tensor is a handle of a resource variable; older runtimes tell of the first subgraph only."""
    details = interpreter.get_tensor_details
    every = "subgraph_index" in inspect.signature(details).parameters and hasattr(interpreter, "num_subgraphs")
    found = [details(n) for n in range(interpreter.num_subgraphs())] if every else [details()]
    return any(d["dtype"] is numpy().object_ for one in found for d in one)


class Network:
    """A model in LiteRT's Python interpreter. Its state, where it has one, starts anew with each sample."""

    def __init__(self, model, threads, delegate=None):
        interpreter, load_delegate, self.runtime = find_interpreter()
        if not os.path.isfile(model):
            fail(MODEL, f"there is no file {model}" + (HAND_OVER if model.endswith("_edgetpu.tflite") else ""))
        start = time.perf_counter()
        noise = io.StringIO()  # numpy prints pages about a runtime that was built for another version of it
        try:
            self.options = {"model_path": model, "num_threads": threads}
            if delegate:
                try:
                    ctypes.CDLL(delegate)  # where it is missing, this says so without noise
                except OSError as error:
                    fail(TOOL, brief(error) + (EDGETPU if "edgetpu" in delegate else ""))
                self.options["experimental_delegates"] = [load_delegate(delegate)]
            with contextlib.redirect_stderr(noise):
                self.interpreter = interpreter(**self.options)
            self.interpreter.allocate_tensors()
        except (AttributeError, ImportError, SystemError) as error:
            if "numpy" in noise.getvalue().lower() or "numpy" in brief(error).lower():
                have = f"{self.runtime} does not work with numpy {numpy().__version__}"
                fail(TOOL, f"{have}: {PIP} ai-edge-litert (or tflite-runtime 'numpy<2'), {THEN}")
            fail(TOOL, f"{self.runtime} does not work: {brief(error)}")
        except (ValueError, RuntimeError, OSError) as error:
            fail(MODEL, "the runtime refuses the model: " + brief(error))
        self.init_ms = 1e3 * (time.perf_counter() - start)
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()
        self.resources = has_resources(self.interpreter)
        self.used = False

    def write(self, arrays):
        for detail, array in zip(self.inputs, arrays):
            self.interpreter.set_tensor(detail["index"], array)

    def start(self):
        """Forget earlier samples: only a new interpreter has new resource variables."""
        if self.resources and self.used:
            interpreter, self.interpreter = type(self.interpreter), None
            self.interpreter = interpreter(**self.options)
            self.interpreter.allocate_tensors()
        self.used = True
        self.interpreter.reset_all_variables()

    def run(self, arrays):
        self.start()
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
    return fail(TOOL, f"no runtime{why}: {PIP} ai-edge-litert (on older systems: tflite-runtime 'numpy<2'), {THEN}")


def numpy():
    """The package, which some systems lack."""
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        reason = f"Python's numpy is missing ({brief(error)})"
        return fail(TOOL, f"{reason}: sudo apt-get install python3-numpy (edgekit-run itself needs no Python)")


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
    proof = read_proof()
    distances, near = zip(*(distance(np, *pair, row) for pair, row in zip(zip(outputs, expected), proof["outputs"])))
    verdict, labels, count = "OK" if all(near) else "DIFFERS", "", len(expected[0])
    if proof["classifier"] and np.isfinite(outputs[0]).all():
        flips = sum(int(a.reshape(-1).argmax() != b.reshape(-1).argmax()) for a, b in zip(outputs[0], expected[0]))
        labels = f", {flips} of {count} labels differ"
        verdict = "OK, labels agree" if verdict != "OK" and flips == 0 else verdict
    print(f"{verdict}: {count} samples, largest difference {', '.join(distances)}{labels}")
    median = float(np.median(latency_ms))
    print(f"{runtime}, {args.threads} thread(s): {median:.3f} ms (median of {repeat})")
    sys.exit(0 if verdict.startswith("OK") else 5)


def read_proof():
    """What edgekit found when it made the bundle, from manifest.json: whether the network chooses among classes, and
    how far each output was off."""
    try:
        with open(os.path.join(HERE, "..", "manifest.json"), encoding="utf-8") as file:
            parity = json.load(file)["parity"] or {}
        return {"classifier": bool(parity.get("classifier")), "outputs": [*parity.get("outputs", []), *[{}] * 999]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return fail(OTHER, f"cannot read manifest.json: {error}")


def distance(np, found, wanted, row):
    """How far an output is off, in words, and whether that is near: twice what edgekit's proof found, at least 1 LSB,
    or 1e-3 of the largest magnitude. What is not finite must be the same."""
    same = (found == wanted) | ((found != found) & (wanted != wanted))
    error = np.where(same, 0, np.abs(np.subtract(found, wanted, dtype=np.float64)))
    if wanted.dtype.kind in "iub":
        worst, most, unit = float(error.max()), max(1, 2 * (row.get("max_lsb") or 0)), " LSB"
    else:
        finite = np.abs(wanted[np.isfinite(wanted)])
        worst = float(error.max()) / max(float(finite.max()) if finite.size else 0.0, 1e-6)
        most, unit = max(1e-3, 2 * (row.get("max_relative") or 0)), " relative"
    return f"{worst:.3g}{unit}", worst <= most


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
