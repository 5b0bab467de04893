"""The C runner by itself: its command line, its power meters (faked in files), its Python twin."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends import runner_build as build
from edgekit.backends.litert import library
from edgekit.backends.runner_build import litert_version
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.runners.linux import kernels
from tests.e2e.command import edgekit
from tests.networks import tabular

MODELS = Path(__file__).parents[3] / "shared" / "models"
SOURCES = Path(__file__).parents[2] / "firmware_stubs" / "linux"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not there")
HELLO = MODELS / "tflite_micro" / "hello_world_float.tflite"
RESNET = MODELS / "mlperf_tiny" / "ic_resnet8_fp32.tflite"


@pytest.fixture(scope="module")
def program() -> str:
    try:
        return str(build.get(platform.machine()).path)
    except ToolMissing as error:
        pytest.skip(error.message)


def run(
    program: str, folder: Path, *options: str, model: Path = HELLO, count: int = 4, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    size = 32 * 32 * 3 if model == RESNET else 1
    np.linspace(0, 1, count * size, dtype=np.float32).tofile(folder / "in.bin")
    command = [program, "--library", str(library.installed()), "--model", str(model), "--inputs", "in.bin"]
    command += ["--samples", str(count), "--outputs", "out.bin", "--trace", "trace.json", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


def trace(folder: Path) -> dict:
    return json.loads((folder / "trace.json").read_text())


def test_outputs_and_trace(program: str, tmp_path: Path) -> None:
    done = run(program, tmp_path, "--repeat", "7", "--warmup", "2", "--profile")
    assert done.returncode == 0, done.stderr
    y = np.fromfile(tmp_path / "out.bin", np.float32)
    assert np.abs(y - np.sin(np.linspace(0, 1, 4))).max() < 0.1
    found = trace(tmp_path)
    assert found["schema"] == 1 and found["runtime"] == f"litert {litert_version()}"
    assert len(found["latency_ms"]) == 7 and found["profiled_inferences"] == 7
    kernels = [event for event in found["events"] if event["type"] & 0b1110]
    assert [event["tag"].split(" (")[0] for event in kernels].count("Fully Connected") == 3


def test_readings_of_the_clock_lie_around_the_kernels(program: str, tmp_path: Path) -> None:
    """They tell nanoseconds, the profiler the same times in whole microseconds."""
    assert run(program, tmp_path, "--repeat", "9", "--profile", model=RESNET).returncode == 0
    found = trace(tmp_path)
    readings = found["readings_ns"]
    assert readings == sorted(readings) and readings[0] >= 0
    timed = kernels.match(found["events"], [(b - a) / 1e3 for a, b in pairwise(readings)])
    assert timed is not None and len(timed) > 10
    assert all(kernel.observed > 0 and abs(kernel.observed - kernel.us) < 1.01 for kernel in timed)


def test_without_a_profile_no_reading_is_recorded(program: str, tmp_path: Path) -> None:
    assert run(program, tmp_path, "--repeat", "3").returncode == 0
    assert trace(tmp_path)["readings_ns"] == []


@pytest.mark.parametrize("arch", [platform.machine(), "aarch64"])
def test_only_the_clock_is_exported(arch: str) -> None:
    """LiteRT finds the program's functions before its own libraries': it must find no other by accident."""
    try:
        symbols = subprocess.check_output(["nm", "-D", build.get(arch).path], text=True)
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    assert re.findall(r" T (?!_)(\w+)", symbols) == ["clock_gettime"]


def test_help(program: str) -> None:
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--sysfs-root" in done.stdout


@pytest.mark.parametrize(
    ("options", "status", "what"),
    [
        (["--bogus"], 2, "unknown option --bogus"),
        (["--threads"], 2, "--threads needs a value"),
        (["--threads", "0"], 2, "at least 1, not 0"),
        (["--repeat", "1e9"], 2, "needs a whole number"),
        (["--samples", "5"], 2, "16 bytes, 5 samples need 20"),
        (["--model", "/nonexistent"], 6, "cannot read /nonexistent: No such file"),
        (["--model", "/dev/null"], 6, "/dev/null is empty"),
        (["--library", "/nonexistent.so"], 6, "cannot load the library"),
        (["--library", "libm.so.6"], 6, "it is not version"),
        (["--outputs", "/nonexistent/out"], 6, "cannot write /nonexistent/out"),
        (["--outputs", "/dev/full"], 6, "cannot write /dev/full: No space left"),
        (["--trace", "/nonexistent/trace"], 6, "cannot write /nonexistent/trace"),
    ],
)
def test_errors_are_one_line(program: str, tmp_path: Path, options: list[str], status: int, what: str) -> None:
    done = run(program, tmp_path, *options)
    ours = [line for line in done.stderr.splitlines() if line.startswith("edgekit-run: ")]
    assert done.returncode == status and len(ours) == 1 and what in ours[0]


def test_damaged_models_are_refused(program: str, tmp_path: Path) -> None:
    whole = HELLO.read_bytes()
    random = np.random.default_rng(0)
    files = [whole[:100], b"\0" * 1000, random.bytes(5000), b"\xff" * 64, whole[:8] + b"\xff" * 200]
    for number, data in enumerate(files):
        bad = tmp_path / f"{number}.tflite"
        bad.write_bytes(data)
        done = run(program, tmp_path, model=bad)
        assert done.returncode == 3, (number, done.returncode, done.stderr[-300:])


# ---- power meters


def files(root: Path, **contents: str) -> None:
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def power(program: str, folder: Path, root: Path, env: dict[str, str] | None = None, repeat: int = 8000) -> dict:
    done = run(program, folder, "--repeat", str(repeat), "--sysfs-root", str(root), model=RESNET, env=env)
    assert done.returncode == 0, done.stderr
    found: dict = trace(folder)["power"]
    return found


def test_no_meter(program: str, tmp_path: Path) -> None:
    assert power(program, tmp_path, tmp_path / "empty", repeat=3) is None


def test_jetson_takes_the_input_rail(program: str, tmp_path: Path) -> None:
    chip = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/"
    rails = {"1": ("VDD_IN", "5000", "1200"), "2": ("VDD_CPU_GPU_CV", "5000", "400"), "3": ("NC", "5000", "0")}
    contents = {}
    for n, (label, millivolt, milliampere) in rails.items():
        contents |= {f"{chip}in{n}_label": label, f"{chip}in{n}_input": millivolt}
        contents |= {f"{chip}curr{n}_input": milliampere}
    contents |= {f"{chip}in7_label": "Sum of shunt voltages", f"{chip}in7_input": "9"}
    files(tmp_path / "root", **contents)
    found = power(program, tmp_path, tmp_path / "root")
    assert found["scope"] == "board_supply" and "VDD_IN" in found["source"]
    assert len(found["samples_w"]) >= 2 and set(found["samples_w"]) == {6.0}


def test_jetson_without_an_input_rail_sums(program: str, tmp_path: Path) -> None:
    contents = {}
    for address, rail, milliwatt in (("0-0040", "VDD_GPU_SOC", 1500), ("0-0041", "VDD_CPU_CV", 500)):
        chip = f"sys/bus/i2c/drivers/ina3221x/{address}/iio:device0/"
        contents |= {f"{chip}rail_name_0": rail, f"{chip}in_power0_input": str(milliwatt)}
    files(tmp_path / "root", **contents)
    found = power(program, tmp_path, tmp_path / "root")
    assert found["scope"] == "core_rail" and set(found["samples_w"]) == {2.0}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="RAPL is x86's")
def test_rapl_is_energy_over_time_and_survives_its_wrap(program: str, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "sys" / "class" / "powercap" / "intel-rapl:0"
    folder.mkdir(parents=True)
    period, watt = 10_000_000, 10.0
    (folder / "max_energy_range_uj").write_text(f"{period}\n")
    stop = threading.Event()

    def count() -> None:
        start, temporary = time.monotonic(), folder / "new"
        while not stop.is_set():
            # starts just below the end of the counter, so that it wraps
            microjoules = int((time.monotonic() - start) * watt * 1e6 + period - 500_000) % period
            temporary.write_text(f"{microjoules}\n")
            temporary.rename(folder / "energy_uj")
            time.sleep(0.002)

    counter = threading.Thread(target=count)
    counter.start()
    time.sleep(0.02)
    try:
        found = power(program, tmp_path, tmp_path / "root", repeat=2000)
    finally:
        stop.set()
        counter.join()
    assert found["scope"] == "core_rail" and "RAPL" in found["source"]
    assert len(found["samples_w"]) >= 3
    assert np.median(found["samples_w"]) == pytest.approx(watt, rel=0.4)
    assert min(found["samples_w"]) >= 0 and max(found["samples_w"]) < 100


@pytest.mark.skipif(platform.machine() != "x86_64", reason="RAPL is x86's")
@pytest.mark.parametrize("microjoules", ["123456789", "0"])
def test_rapl_that_stands_still_measures_nothing(program: str, tmp_path: Path, microjoules: str) -> None:
    """As in virtual machines."""
    folder = "sys/class/powercap/intel-rapl:0/"
    files(tmp_path / "root", **{f"{folder}energy_uj": microjoules, f"{folder}max_energy_range_uj": "10000000"})
    found = power(program, tmp_path, tmp_path / "root", repeat=2000)
    assert found["samples_w"] == []


PMIC = """#!/bin/sh
[ "$1" = pmic_read_adc ] || exit 1
cat <<X
     3V7_WL_SW_A current(0)=0.10000000A
     VDD_CORE_A current(7)=2.00000000A
     EXT5V_V volt(24)=5.10000000V
     3V7_WL_SW_V volt(8)=3.70000000V
     VDD_CORE_V volt(15)=0.80000000V
     BATT_V volt(25)=0.00000000V
X
"""


def test_raspberry_pi_5_sums_its_converters(program: str, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "vcgencmd"
    tool.parent.mkdir()
    tool.write_text(PMIC)
    tool.chmod(0o755)
    env = {"PATH": f"{tool.parent}:/usr/bin:/bin"}
    found = power(program, tmp_path, tmp_path / "empty", env)
    assert found["scope"] == "board_supply" and "not included" in found["source"]
    assert found["samples_w"]
    assert found["samples_w"] == pytest.approx([0.1 * 3.7 + 2.0 * 0.8] * len(found["samples_w"]))


def test_a_meter_that_gives_no_number_gives_no_sample(program: str, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "vcgencmd"
    files(tmp_path, **{"bin/vcgencmd": "#!/bin/sh\necho '  A_A current(0)=nanA'\necho '  A_V volt(1)=1.0V'\n"})
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    assert power(program, tmp_path, tmp_path / "root", env)["samples_w"] == []


def test_a_vcgencmd_that_knows_no_pmic_is_no_meter(program: str, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "vcgencmd"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho error=1 error_msg='Command not registered'\nexit 255\n")
    tool.chmod(0o755)
    assert power(program, tmp_path, tmp_path / "empty", {"PATH": f"{tool.parent}:/usr/bin:/bin"}, repeat=3) is None


def tegrastats(folder: Path, lines: list[str]) -> dict[str, str]:
    """The environment in which ``tegrastats`` prints these lines, one every 10 ms, and goes on with the last."""
    tool = folder / "bin" / "tegrastats"
    files(folder, **{"lines": "\n".join(lines)})
    files(
        folder,
        **{
            "bin/tegrastats": f"""#!/bin/sh
[ "$1" = --interval ] || exit 1
echo $$ >> {folder}/pids
trap "" PIPE
while read -r line; do echo "$line"; last=$line; sleep 0.01; done < {folder}/lines
while :; do echo "$last" 2> /dev/null; sleep 0.01; done"""
        },
    )
    tool.chmod(0o755)
    return {"PATH": f"{tool.parent}:/usr/bin:/bin"}


def ended(folder: Path) -> bool:
    """True if no ``tegrastats`` is left."""
    return not any(Path("/proc", pid).exists() for pid in (folder / "pids").read_text().split())


RECORDED = MODELS.parent / "measurements" / "logs" / "jetson_orin_nano_tegrastats.csv"


def test_tegrastats_of_a_recorded_log(program: str, tmp_path: Path) -> None:
    if not RECORDED.is_file():
        pytest.skip("no ../shared/measurements")
    rows = list(csv.DictReader(RECORDED.read_text().splitlines()))
    lines = [
        f"11-29-2026 12:00:00 RAM {r['ram_mb_used']}/{r['ram_mb_total']}MB (lfb 4x4MB) SWAP {r['swap_mb_used']}/3804MB "
        f"(cached 0MB) CPU [3%@1510,0%@1510] EMC_FREQ 0%@{r['emc_freq_mhz']} GR3D_FREQ {r['gpu_pct']}%@[306] "
        f"tj@50.2C VDD_IN {r['power_in_mw']}mW/{r['power_in_mw']}mW VDD_CPU_GPU_CV {r['power_cpu_gpu_cv_mw']}mW/1671mW "
        f"VDD_SOC {r['power_soc_mw']}mW/2308mW"
        for r in rows
    ]
    found = power(program, tmp_path, tmp_path / "empty", tegrastats(tmp_path, lines))
    assert found["scope"] == "board_supply" and found["source"] == "tegrastats, rail VDD_IN"
    recorded = {round(float(row["power_in_mw"]) / 1e3, 6) for row in rows}
    assert len(found["samples_w"]) >= 2 and {round(one, 6) for one in found["samples_w"]} <= recorded
    assert ended(tmp_path)


@pytest.mark.parametrize(
    ("line", "scope", "source", "watt"),
    [
        ("RAM 1/3964MB POM_5V_IN 3051/3051 POM_5V_GPU 40/40", "board_supply", "tegrastats, rail POM_5V_IN", 3.051),
        ("RAM 1/2MB GPU 500/310 CPU 311/311 SOC 934/934", "core_rail", "tegrastats, sum of 3 rails from GPU on", 1.745),
    ],
)
def test_tegrastats_of_older_systems(
    program: str, tmp_path: Path, line: str, scope: str, source: str, watt: float
) -> None:
    found = power(program, tmp_path, tmp_path / "empty", tegrastats(tmp_path, [line]))
    assert found["scope"] == scope and found["source"] == source
    assert found["samples_w"] and found["samples_w"] == pytest.approx([watt] * len(found["samples_w"]))
    assert ended(tmp_path)


def test_lines_of_tegrastats_without_power_are_no_reading(program: str, tmp_path: Path) -> None:
    """One read may take a line that tells power, and others behind it that do not."""
    found = power(
        program, tmp_path, tmp_path / "empty", tegrastats(tmp_path, ["VDD_IN 2000mW/2000mW\n\nRAM 1/2MB"] * 200)
    )
    assert found["samples_w"] and set(found["samples_w"]) == {2.0}


@pytest.mark.parametrize("line", ["", "RAM 1/3964MB SWAP 0/3MB", "VDD_IN 12mW/", "VDD_IN -5mW/7mW", "x" * 5000])
def test_tegrastats_that_tells_no_power_is_no_meter(program: str, tmp_path: Path, line: str) -> None:
    environment = tegrastats(tmp_path, [line])
    assert power(program, tmp_path, tmp_path / "empty", environment, repeat=3) is None
    assert ended(tmp_path)


def test_the_machine_is_described(program: str, tmp_path: Path) -> None:
    files(
        tmp_path / "root",
        **{
            "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B",
            "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd0b",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000",
        },
    )
    assert run(program, tmp_path, "--sysfs-root", str(tmp_path / "root")).returncode == 0
    expected = {"model": "Raspberry Pi 5 Model B", "cpu": "Cortex-A76", "clock_mhz": 2400}
    assert trace(tmp_path)["machine"] == expected


# ---- the Python twin


@pytest.mark.parametrize(
    ("cpuinfo", "clock", "cpu", "mhz"),
    [
        ("model name:", None, "", 0),
        ("model name:\n", None, "", 0),
        ("model name\t:\t Some core \ncpu MHz\t\t: 1800.000\n", None, "Some core ", 1800),
        ("model name\t: Core\ncpu MHz\t\t: nan\n", "nan", "Core", 0),
        ("model name\t: Core\ncpu MHz\t\t: 1e300\n", "inf", "Core", 0),
        ("model name\t: Core\n", "-5", "Core", 0),
    ],
)
def test_odd_descriptions_of_a_machine(
    program: str, tmp_path: Path, cpuinfo: str, clock: str | None, cpu: str, mhz: int
) -> None:
    frequency = {} if clock is None else {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": clock}
    files(tmp_path / "root", **{"proc/cpuinfo": cpuinfo}, **frequency)
    assert run(program, tmp_path, "--sysfs-root", str(tmp_path / "root")).returncode == 0
    machine = trace(tmp_path)["machine"]
    assert machine["cpu"] == cpu and machine["clock_mhz"] == mhz


def test_python_runner_keeps_the_same_contract(program: str, tmp_path: Path) -> None:
    assert run(program, tmp_path, "--repeat", "3", model=RESNET).returncode == 0
    expected = (tmp_path / "out.bin").read_bytes()
    keys = set(trace(tmp_path))
    command = [sys.executable, str(SOURCES / "run.py"), "--python", "--model", str(RESNET), "--inputs", "in.bin"]
    command += ["--samples", "4", "--outputs", "py.bin", "--trace", "py.json", "--repeat", "3", "--warmup", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "py.bin").read_bytes() == expected
    found = json.loads((tmp_path / "py.json").read_text())
    assert set(found) == keys and len(found["latency_ms"]) == 3


@pytest.mark.parametrize("network", [tabular.adding_up, tabular.adding_up_in_a_branch])
def test_python_runner_passes_no_resource_variable_from_one_sample_to_the_next(
    network: Callable[[], Graph], tmp_path: Path
) -> None:
    graph = network()
    tflite.write(graph, tmp_path / "m.tflite")
    np.ones((3, *graph.inputs[0].shape), np.float32).tofile(tmp_path / "in.bin")
    command = [sys.executable, str(SOURCES / "run.py"), "--python", "--model", "m.tflite", "--inputs", "in.bin"]
    command += ["--samples", "3", "--outputs", "out.bin", "--repeat", "1", "--warmup", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *others = np.fromfile(tmp_path / "out.bin", np.float32).reshape(3, -1).tolist()
    assert any(first) and others == [first, first]


@pytest.mark.parametrize(
    ("options", "status", "what"),
    [
        (["--model", "missing.tflite", "--inputs", "in.bin"], 3, "there is no file missing.tflite"),
        (["--inputs", "missing.bin"], 6, "cannot read missing.bin"),
        (["--inputs", "in.bin", "--samples", "9"], 2, "9 samples need"),
        ([], 6, "cannot read golden.npz"),
    ],
)
def test_python_runner_errors(tmp_path: Path, options: list[str], status: int, what: str) -> None:
    (tmp_path / "in.bin").write_bytes(b"\0" * 4)
    command = [sys.executable, str(SOURCES / "run.py"), "--model", str(HELLO), "--samples", "1", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status and what in done.stderr and "Traceback" not in done.stderr


RUNTIME_FOR_NUMPY_1 = """
import sys
class Interpreter:
    def __init__(self, **options):
        print("A module that was compiled using NumPy 1.x cannot be run in\\nNumPy 2", file=sys.stderr)
        raise SystemError("<built-in method CreateWrapperFromFile> returned a result with an exception set")
load_delegate = None
"""


def test_python_runner_without_numpy_and_beside_a_numpy_that_is_too_new(tmp_path: Path) -> None:
    def status(*options: str, **env: str) -> tuple[int, str]:
        command = [sys.executable, *options, str(SOURCES / "run.py"), "--python", "--model", str(HELLO)]
        (tmp_path / "in.bin").write_bytes(b"\0" * 4)
        command += ["--inputs", str(tmp_path / "in.bin"), "--samples", "1"]
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.returncode, done.stderr

    code, said = status("-S")
    assert (
        code == 4
        and "no runtime" in said
        and "python3 -m venv ~/litert && ~/litert/bin/pip install ai-edge-litert" in said
    )
    golden = subprocess.run(
        [sys.executable, "-S", str(SOURCES / "run.py")], capture_output=True, text=True, check=False
    )
    assert golden.returncode == 4 and "numpy is missing" in golden.stderr and "Traceback" not in golden.stderr
    assert "sudo apt-get install python3-numpy" in golden.stderr  # pip refuses on Raspberry Pi OS (PEP 668)
    files(
        tmp_path,
        **{
            "ai_edge_litert/__init__.py": "raise ImportError('GLIBC_2.38 not found')",
            "tflite_runtime/__init__.py": "__version__ = '2.14.0'",
            "tflite_runtime/interpreter.py": RUNTIME_FOR_NUMPY_1,
        },
    )
    code, said = status(PYTHONPATH=str(tmp_path))
    assert code == 4 and "tflite-runtime 2.14.0 does not work with numpy 2" in said and "'numpy<2'" in said
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text("raise ImportError('no such symbol')")
    code, said = status(PYTHONPATH=str(tmp_path))
    assert code == 4 and "GLIBC_2.38 not found" in said and "no such symbol" in said


@pytest.mark.parametrize("options", [[], ["--python"]])
@pytest.mark.parametrize(
    ("last", "said"),
    [
        (1.0, "OK: 16 samples"),
        (0.0, "DIFFERS: 16 samples, largest difference 1 relative"),  # a constant
        (np.nan, "DIFFERS: 16 samples, largest difference nan relative"),
        (1.01, "DIFFERS: 16 samples, largest difference 0.01"),
    ],
)
def test_golden_samples_of_a_network_of_one_output(tmp_path: Path, options: list[str], last: float, said: str) -> None:
    """A regression has no labels that could agree: each value counts."""
    made = edgekit("compile", HELLO, "--target", "host", "--out", tmp_path, "--json").json["bundles"][0]["path"]
    graph = tflite.read(Path(made) / "model.tflite")
    for index in graph.operators[-1].inputs[1:]:
        constant = graph.tensors[index]
        constant.data = (constant.array() * np.float32(last)).reshape(-1).view(np.uint8)
    tflite.write(graph, Path(made) / "model.tflite")
    command = [sys.executable, Path(made) / "artifact" / "run.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(said) and done.returncode == (0 if last == 1 else 5), done.stdout + done.stderr
    assert "labels" not in done.stdout


def test_golden_samples_of_a_classifier_whose_labels_agree(tmp_path: Path) -> None:
    """Other kernels than those of the proof may be further off; then labels decide, of finite outputs only."""
    made = Path(edgekit("compile", RESNET, "--target", "host", "--out", tmp_path, "--json").json["bundles"][0]["path"])
    with np.load(made / "golden.npz") as archive:
        golden = dict(archive)
    right = golden["output0"].copy()
    for values, said, status in (
        (right, "OK: 16", 0),
        (right * np.float32(0.97), "OK, labels agree: 16", 0),
        (-right, "DIFFERS: 16", 5),
    ):
        np.savez(made / "golden.npz", **{**golden, "output0": values})
        command = [sys.executable, made / "artifact" / "run.py"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.startswith(said) and done.returncode == status, done.stdout + done.stderr
        assert "of 16 labels differ" in done.stdout
