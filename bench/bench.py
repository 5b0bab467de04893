"""Measure edgekit itself: how quickly it starts and compiles, and that its runner adds nothing to LiteRT's latency.

Also how fast compiled networks are beside LiteRT. Prints the tables and writes them to docs/benchmarks.md.
``--check`` exits with 5 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import compiled
import latency
import networks
import page

ROOT = Path(__file__).resolve().parents[1]
EDGEKIT = Path(sys.executable).with_name("edgekit")
PAGE = ROOT / "docs" / "benchmarks.md"
RATIO_LIMIT = 1.02


@dataclass(frozen=True)
class Row:
    """One measured command: seconds (median) and what they must stay under."""

    what: str
    seconds: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.seconds < self.limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 5 where a limit is missed")
    parser.add_argument("--rounds", type=int, default=15, help="of interleaved latency measurements")
    args = parser.parse_args()
    say("commands, median of several runs ...")
    rows = commands()
    say("networks: compiling (once), then measuring, the three runtimes in turn ...")
    latencies = []
    for network in networks.available(ROOT / "build" / "bench", say):
        say(f"  {network.name} {network.dtype}")
        latencies.append(latency.measure(network, args.rounds))
    keep("edgekit", report(rows, latencies))
    say("compiled networks beside LiteRT, in turns ...")
    turns = list(compiled.host())
    keep("compiled-host", compiled.host_table(turns))
    keep("compiled-threads", compiled.threads_table())
    say("compiled networks for boards, in the emulator ...")
    keep("compiled-boards", compiled.boards_table())
    missed = [row.what for row in rows if not row.ok]
    missed += [f"{one.network.name} {one.network.dtype}" for one in latencies if one.ratio() > RATIO_LIMIT]
    missed += compiled.missed(turns)
    if missed:
        say("over the limit: " + "; ".join(missed))
    return 5 if missed and args.check else 0


def commands() -> list[Row]:
    rows = [
        Row("`edgekit --help`", median(lambda: edgekit("--help"), 11), 0.2),
        Row("`edgekit targets`", median(lambda: edgekit("targets"), 11), 0.3),
    ]
    model = networks.small_int8()
    if model is None:
        say("compile is not measured: neither the shared models nor the demo's are there")
        return rows
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as trap:
        out, argv = Path(folder), ["compile", str(model), "--target", "rpi4", "--target", "rpi5", "--quiet"]
        edgekit(*argv, "--out", str(out / "warm"))  # builds the runner and the plug-in, once for all
        seconds = median(lambda: edgekit(*argv, "--out", str(out / "timed")), 5)
        rows.append(Row(f"`edgekit compile` of {model.name} for two boards, proven in the emulator", seconds, 5.0))
        without_tensorflow(argv, out, Path(trap))
        for dtype, recipe in (("float32", "float32"), ("int8", "int8")):
            rows.append(compiling_with_tvm(dtype, recipe, out))
    return rows


def compiling_with_tvm(dtype: str, recipe: str, out: Path) -> Row:
    """Read, compile, and prove MobileNetV2 224 for this machine, as a process of its own."""
    path, plan = compiled.transformed(compiled.mobilenet(224), recipe)
    argv = ["compile", str(path), "--target", "host", "--recipe", plan, "--backend", "tvm", "--quiet"]
    seconds = median(lambda: edgekit(*argv, "--out", str(out / dtype)), 3)
    return Row(f"`edgekit compile --backend tvm` of MobileNetV2 224, {dtype}, for this machine, proven", seconds, 15.0)


def without_tensorflow(argv: Sequence[str], out: Path, trap: Path) -> None:
    """Compile once more with a tensorflow in the way that betrays whoever imports it, in whatever process."""
    (trap / "tensorflow.py").write_text(f"open({str(trap / 'caught')!r}, 'w').close()\nraise ImportError('a trap')\n")
    edgekit(*argv, "--out", str(out / "trapped"), env={"PYTHONPATH": str(trap)})
    if (trap / "caught").exists():
        sys.exit("compile of a .tflite imported TensorFlow")


def edgekit(*args: str, env: dict[str, str] | None = None) -> None:
    # A user's Python keeps compiled modules; some developers' shells switch that off.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([EDGEKIT, *args], stdout=subprocess.DEVNULL, env={**environment, **(env or {})}, check=False)
    if done.returncode:
        sys.exit(f"edgekit {' '.join(args)} failed")


def median(work: Callable[[], None], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def report(rows: Sequence[Row], latencies: Sequence[latency.Latency]) -> str:
    lines = [
        f"On {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"LiteRT {version('ai-edge-litert')}, ONNX Runtime {version('onnxruntime')}.",
        "", "| command | median | limit | verdict |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| {row.what} | {row.seconds:.2f} s | {row.limit:g} s | {'ok' if row.ok else 'over'} |" for row in rows]
    lines += [
        "", f"Compiling a `.tflite` imports no TensorFlow, in no process (checked). One thread, {latency.PINNED}:", "",
        "| network | dtype | edgekit's runner | LiteRT in Python | ratio | ONNX Runtime | ratio |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in latencies:
        onnx = "-" if one.onnx is None else f"{one.onnx:.4g} ms"
        against = "-" if one.onnx is None else f"{one.ratio_onnx():.2f}"
        lines.append(
            f"| {one.network.name} | {one.network.dtype} | {one.runner:.4g} ms | {one.litert:.4g} ms "
            f"| {one.ratio():.3f} | {onnx} | {against} |"
        )
    return "\n".join(lines)


def processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def keep(name: str, table: str) -> None:
    """Print a table and put it into the page."""
    print(f"{table}\n", flush=True)
    page.write(PAGE, {name: table})


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
