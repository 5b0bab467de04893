"""What edgekit-run parses and computes, part by part, under sanitizers and without a clock that runs."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import ENVIRONMENT, HERE, LINUX, SANITIZE, compiled

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
PARTS = ("arguments.c", "clock.c", "machine.c", "profile.c", "trace.c")
NEEDED = ("--library", "l", "--inputs", "i", "--samples", "1")
RAPL = "sys/class/powercap/intel-rapl:0/"
HWMON = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/"
IIO = "sys/bus/i2c/drivers/ina3221x/0-0041/iio:device0/"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [HERE / "unit_driver.c", *(LINUX / name for name in PARTS)]
    return compiled(tmp_path_factory.mktemp("driver") / "driver", sources, *SANITIZE)


def call(driver: Path, *arguments: object, text: str = "", status: int = 0) -> str:
    command = [str(driver), *map(str, arguments)]
    environment = {**ENVIRONMENT, "PATH": ""}  # no vcgencmd
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status and not done.stderr, done.stderr[-2000:]
    return done.stdout


def files(root: Path, contents: dict[str, str]) -> Path:
    root.mkdir(exist_ok=True)
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


# The command line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "l||i||||1|0|0|1|000"),
        (("--model", "m", "--outputs", "o", "--trace", "t"), "l|m|i|o|t||1|0|0|1|000"),
        (("--sysfs-root", "/"), "l||i||||1|0|0|1|000"),
        (("--sysfs-root", "/r"), "l||i|||/r|1|0|0|1|000"),
        (("--repeat", "0", "--warmup", "0", "--threads", "1"), "l||i||||1|0|0|1|000"),
        (("--repeat", "1000000000", "--warmup", "7", "--threads", "4"), "l||i||||1|1000000000|7|4|000"),
        (("--profile", "--markers"), "l||i||||1|0|0|1|110"),
        (("--samples", "3", "--samples", "2"), "l||i||||2|0|0|1|000"),
    ],
)
def test_arguments(driver: Path, options: tuple[str, ...], expected: str) -> None:
    assert call(driver, "arguments", *NEEDED, *options) == expected + "\n"


def test_help_needs_nothing_else(driver: Path) -> None:
    assert call(driver, "arguments", "--help").endswith("|0|0|0|1|001\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((*NEEDED, "--samples", "0"), "--samples needs a whole number of at least 1, not 0"),
        ((*NEEDED, "--threads", "0"), "--threads needs a whole number of at least 1, not 0"),
        ((*NEEDED, "--repeat", "-1"), "--repeat needs a whole number of at least 0, not -1"),
        ((*NEEDED, "--repeat", "1000000001"), "--repeat needs a whole number of at least 0, not 1000000001"),
        ((*NEEDED, "--repeat", "99999999999999999999"), "--repeat needs a whole number of at least 0, not 9999"),
        ((*NEEDED, "--repeat", "3x"), "--repeat needs a whole number of at least 0, not 3x"),
        ((*NEEDED, "--repeat", ""), "--repeat needs a whole number of at least 0, not "),
        ((*NEEDED, "--trace"), "--trace needs a value"),
        ((*NEEDED, "--warmup"), "--warmup needs a value"),
        ((*NEEDED, "--bogus"), "unknown option --bogus (see --help)"),
        ((*NEEDED, "x" * 500), "unknown option xxxx"),
        (NEEDED[:4], "--library, --inputs and --samples are needed"),
        (NEEDED[2:], "--library, --inputs and --samples are needed"),
        ((*NEEDED[:2], *NEEDED[4:]), "--library, --inputs and --samples are needed"),
    ],
)
def test_wrong_arguments(driver: Path, options: tuple[str, ...], expected: str) -> None:
    assert call(driver, "arguments", *options, status=2).startswith(expected)


# The profile


def profiled(driver: Path, folder: Path, inferences: list[tuple[list[int], list[int]]]) -> tuple[str, dict]:
    """Events in microseconds and readings in nanoseconds of each inference -> who was accepted, and the trace."""
    text = "\n".join(f"{len(us)} {' '.join(map(str, us))} {len(ns)} {' '.join(map(str, ns))}" for us, ns in inferences)
    accepted = call(driver, "profile", folder / "t.json", text=text)
    return accepted, json.loads((folder / "t.json").read_text())


def test_a_profile_is_the_mean_of_the_faster_half(driver: Path, tmp_path: Path) -> None:
    """Of five, the fastest three. How late the first reading comes says nothing of how long an inference took."""
    slow, fast = ([900, 90], [0, 990_000]), ([10, 1], [800_000, 811_000])
    middle, late = ([20, 3], [0, 23_000]), ([30, 5], [2_000_000, 2_035_000])
    accepted, trace = profiled(driver, tmp_path, [slow, fast, ([700, 70], [0, 770_000]), late, middle])
    assert accepted == "+++++" and trace["profiled_inferences"] == 5
    assert [event["us"] for event in trace["events"]] == [20, 3]
    assert trace["readings_ns"] == [pytest.approx(2_800_000 / 3), pytest.approx(2_869_000 / 3)]


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_half_is_rounded_up(driver: Path, tmp_path: Path, count: int, kept: int) -> None:
    given = [([10 * (k + 1)], [0, 10_000 * (k + 1)]) for k in range(count)]
    _, trace = profiled(driver, tmp_path, given[::-1])
    assert trace["events"][0]["us"] == pytest.approx(sum(10 * (k + 1) for k in range(kept)) / kept)


def test_inferences_unlike_the_first_are_left_out(driver: Path, tmp_path: Path) -> None:
    given = [([10, 20], [0, 30]), ([1], [0, 30]), ([1, 2], [0]), ([1, 2], []), ([12, 22], [0, 34])]
    accepted, trace = profiled(driver, tmp_path, given)
    assert accepted == "+---+" and trace["profiled_inferences"] == 2
    assert [event["us"] for event in trace["events"]] == [10, 20] and trace["readings_ns"] == [0, 30]


def test_no_readings(driver: Path, tmp_path: Path) -> None:
    accepted, trace = profiled(driver, tmp_path, [([10], []), ([10], [])])
    assert accepted == "++" and trace["readings_ns"] == [] and trace["events"][0]["us"] == 10


def test_a_full_profile_takes_no_more(driver: Path) -> None:
    assert int(call(driver, "full-profile")) == (1 << 20) // 1001


# The trace


@pytest.mark.parametrize("text", ["plain", 'a "b" \\c\\', "tab\tnew\nline\rbell\x07", "", "caf\u00e9", "x" * 90])
def test_a_trace_is_json_whatever_it_says(driver: Path, tmp_path: Path, text: str) -> None:
    call(driver, "trace", tmp_path / "t.json", text)
    found = json.loads((tmp_path / "t.json").read_text())
    read = "".join(chr(byte) for byte in text.encode())  # bytes beyond ASCII, each by itself
    assert found["runtime"] == found["power"]["source"] == read
    assert found["machine"] == {"model": read, "cpu": read, "clock_mhz": 1800}
    assert [event["tag"] for event in found["events"]] == [read] * 5


def test_the_figures_of_a_trace(driver: Path, tmp_path: Path) -> None:
    call(driver, "trace", tmp_path / "t.json", "x")
    found = json.loads((tmp_path / "t.json").read_text())
    sources = ["litert", "interpreter", "delegate", "compiled", "delegate"]
    assert [event["source"] for event in found["events"]] == sources
    assert [event["node"] for event in found["events"]] == [-1, 0, 1, 2, 3]
    assert [event["us"] for event in found["events"]] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert [(e["start_us"], e["end_us"]) for e in found["events"][:3]] == [(0, 0), (1000, 1007), (2000, 2007)]
    assert found["latency_ms"] == [0.125, 3] and found["readings_ns"] == [0, 1234.5] and found["init_ms"] == 1.5
    assert found["power"]["samples_w"] == [2.5, 0] and found["power"]["scope"] == "core_rail"
    assert found["peak_ram_bytes"] == 5_000_000_000 and found["threads"] == 3 and found["profiled_inferences"] == 9


def test_a_trace_that_cannot_be_written(driver: Path) -> None:
    call(driver, "trace", "/dev/full", "x", status=1)
    call(driver, "trace", "/nonexistent/t.json", "x", status=1)


# The machine

CPUINFO = (
    "processor\t: 0\nmodel name\t: First\ncpu MHz\t\t: 2000.5\n\nprocessor\t: 1\nmodel name\t: Second\ncpu MHz\t\t: 1"
)


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({}, "||0"),
        ({"proc/cpuinfo": CPUINFO}, "|First|2000.5"),
        ({"sys/class/dmi/id/product_name": "Server 7"}, "Server 7||0"),
        ({"sys/class/dmi/id/product_name": "No", "sys/firmware/devicetree/base/model": "Board"}, "Board||0"),
        ({"proc/cpuinfo": "CPU part\t: 0xd03\nCPU part\t: 0xd08"}, "|Cortex-A53|0"),
        ({"proc/cpuinfo": "CPU part\t: 0xd42"}, "|Cortex-A78AE|0"),
        ({"proc/cpuinfo": "CPU part\t: 0x123"}, "|0x123|0"),
        ({"proc/cpuinfo": "model name:"}, "||0"),
        ({"proc/cpuinfo": "model name\t: " + "x" * 900}, "|" + "x" * 127 + "|0"),
        ({"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000", "proc/cpuinfo": CPUINFO}, "|First|1500"),
        ({"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "nan"}, "||0"),
        ({"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1e10"}, "||0"),
        ({"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "-1500000"}, "||0"),
    ],
)
def test_the_machine(driver: Path, tmp_path: Path, contents: dict[str, str], expected: str) -> None:
    assert call(driver, "machine", files(tmp_path / "root", contents)) == expected + "\n"


def test_the_peak_is_kept_when_memory_is_given_back(driver: Path) -> None:
    size = 96 << 20
    found = int(call(driver, "peak", size))
    assert size <= found < 8 * size and found % 1024 == 0


# The clock


@pytest.mark.parametrize(("count", "found"), [(0, 0), (3, 3), (65536, 65536), (65537, 0)])
def test_only_readings_of_the_monotonic_clock_are_recorded(driver: Path, count: int, found: int) -> None:
    assert call(driver, "clock", count) == f"{found} {found} "


# Power meters


def rails(*rows: tuple[str, int, int], chip: str = HWMON) -> dict[str, str]:
    found = {}
    for n, (label, millivolt, milliampere) in enumerate(rows, 1):
        found |= {f"{chip}in{n}_label": label, f"{chip}in{n}_input": str(millivolt)}
        found |= {f"{chip}curr{n}_input": str(milliampere)}
    return found


def watts(driver: Path, root: Path, file: str = "", values: tuple[object, ...] = (0, 0, 0)) -> tuple[str, list[float]]:
    """Scope of the meter, and its readings."""
    path = root / file if file else ""
    scope, _, *found = call(driver, "power", root, path, *values).split("|")
    return scope, [float(text) for text in found]


@pytest.mark.parametrize(
    ("contents", "scope", "watt"),
    [
        (rails(("VDD_IN", 5000, 1200), ("VDD_CPU", 5000, 400)), "board_supply", 6.0),
        (rails(("VDD_CPU", 5000, 400), ("POM_5V_IN", 4800, 500)), "board_supply", 2.4),
        (rails(("VDD_GPU", 5000, 400), ("VDD_MUX", 19000, 100)), "board_supply", 1.9),
        (rails(("VDD_GPU", 5000, 400), ("VDD_CPU", 1000, 300), ("NC", 5000, 900)), "core_rail", 2.3),
        ({f"{IIO}rail_name_0": "A", f"{IIO}in_power0_input": "1500",
          f"{IIO}rail_name_2": "B", f"{IIO}in_power2_input": "250"}, "core_rail", 1.75),
    ],
)  # fmt: skip
def test_rails(driver: Path, tmp_path: Path, contents: dict[str, str], scope: str, watt: float) -> None:
    found, readings = watts(driver, files(tmp_path / "root", contents))
    assert found == scope and readings == pytest.approx([watt] * 2)


def test_no_meter(driver: Path, tmp_path: Path) -> None:
    assert call(driver, "power", files(tmp_path / "root", {}), "") == "none|"


def test_the_first_reading_is_left_out(driver: Path, tmp_path: Path) -> None:
    """It may have been taken before the load. Two readings are too few to leave one out."""
    root = files(tmp_path / "root", rails(("VDD_IN", 1000, 1)))
    assert watts(driver, root, f"{HWMON}curr1_input", (1000, 2000, 3000)) == ("board_supply", [2, 3])
    assert watts(driver, root, f"{HWMON}curr1_input", (1000, 2000)) == ("board_supply", [1, 2])


def test_readings_that_power_cannot_have_are_left_out(driver: Path, tmp_path: Path) -> None:
    root = files(tmp_path / "root", rails(("VDD_IN", 1000, 1)))
    given = (5000, 5000, -1000, "nan", "inf", "", "x", 1e10, 7000)
    assert watts(driver, root, f"{HWMON}curr1_input", given) == ("board_supply", [5, 7])


def test_a_full_meter_takes_no_more_readings(driver: Path, tmp_path: Path) -> None:
    assert call(driver, "full-power", files(tmp_path / "root", rails(("VDD_IN", 1000, 1)))) == "8192\n"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="RAPL is x86's")
def test_rapl_is_energy_over_time(driver: Path, tmp_path: Path) -> None:
    """Readings are half a second apart; the counter wraps at 10 J, and stands still once."""
    root = files(tmp_path / "root", {f"{RAPL}energy_uj": "1", f"{RAPL}max_energy_range_uj": "10000000"})
    given = (5_000_000, 7_000_000, 9_500_000, 1_500_000, 1_500_000, 4_500_000)
    assert watts(driver, root, f"{RAPL}energy_uj", given) == ("core_rail", pytest.approx([4, 5, 4, 3]))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="RAPL is x86's")
def test_rapl_without_a_range_skips_the_wrap(driver: Path, tmp_path: Path) -> None:
    root = files(tmp_path / "root", {f"{RAPL}energy_uj": "1"})
    assert watts(driver, root, f"{RAPL}energy_uj", (9_000_000, 1_000_000, 2_000_000)) == ("core_rail", [2])
