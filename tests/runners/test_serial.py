"""The runner ``serial``, against QEMU on a pseudo-terminal: noise, loss, resets, cables that are pulled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit import runners
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError, UsageError
from edgekit.runners import RunOptions, Source
from edgekit.transport.serial import Address, SerialLine
from tests.runners.firmware_bundles import bundle, expected, network, samples
from tests.runners.serial_board import Board, board

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(tmp_path_factory.mktemp("serial") / "bundle", "mps3-an547")


@pytest.fixture
def there(made: Bundle) -> Iterator[Board]:
    with board(made.artifact / "firmware.elf") as found:
        yield found


def opened(where: Board, made: Bundle):
    return runners.opened(runners.get(f"serial:{where.path}"), made)


def test_a_board_runs_every_sample_and_tells_its_cycles(there: Board, made: Bundle) -> None:
    inputs = samples(3)
    with opened(there, made) as session:
        first = session.run([inputs], RunOptions(profile=True))
        second = session.run([inputs[1:]], RunOptions(repeat=3))
    np.testing.assert_array_equal(first.outputs[0], expected(inputs))
    np.testing.assert_array_equal(second.outputs[0], expected(inputs[1:]))
    trace = first.trace
    assert trace.source is Source.DEVICE and len(trace.latency_ms) == 3 and min(trace.latency_ms) > 0
    assert len(second.trace.latency_ms) == 4
    assert [(row.index, row.name) for row in trace.operators] == [(0, "dense"), (1, "minimum")]
    steps = [row.latency_ms for row in trace.operators]
    assert all(ms is not None for ms in steps) and 0 < steps[0] <= trace.latency_ms[0]  # type: ignore[operator]
    assert first.conditions["clock_mhz"] == 32 and 0 < first.conditions["stack_used_bytes"] < 8192
    assert session.info().name == there.path


def test_noise_before_and_between_the_frames_is_passed_over(there: Board, made: Bundle) -> None:
    noise = b"boot v1.2\r\n\x45\x4b\xc3\x45\x4b\xc3\x3c" + bytes(range(256))
    there.to_host = lambda data: noise + data
    there.to_board = lambda data: b"AT\r\n\x45\x4b" + data
    inputs = samples(1)
    with opened(there, made) as session:
        np.testing.assert_array_equal(session.run([inputs]).outputs[0], expected(inputs))


def test_what_is_lost_or_flipped_is_sent_again(there: Board, made: Bundle) -> None:
    count = {"host": 0, "board": 0}

    def damaged(side: str, data: bytes) -> bytes:
        count[side] += 1
        if count[side] % 5 == 3:
            return data[: len(data) // 2]
        if count[side] % 5 == 4:
            return bytes([*data[:-1], data[-1] ^ 4])
        return data

    there.to_host = lambda data: damaged("host", data)
    there.to_board = lambda data: damaged("board", data)
    inputs = samples(1)
    runner = runners.get(f"serial:{there.path}")
    with runners.opened(replace(runner, attempts=12, patience=0.3), made) as session:  # type: ignore[type-var]
        run = session.run([inputs])
    np.testing.assert_array_equal(run.outputs[0], expected(inputs))  # with its state: no run counted twice
    assert count["host"] > 8 and count["board"] > 8


def test_a_reset_in_mid_frame_ends_the_run_and_the_next_session_works(there: Board, made: Bundle) -> None:
    inputs = samples(1)
    with opened(there, made) as session:
        state = {"frames": 0}

        def cut(data: bytes) -> bytes:
            state["frames"] += 1
            if state["frames"] == 2:
                threading.Thread(target=there.reset).start()
                return data[: len(data) // 2]
            return data

        there.to_board = cut
        begun = time.monotonic()
        with pytest.raises(DeviceError) as caught:
            session.run([inputs])
        assert caught.value.message == f"{there.path} was reset in the middle of a run"
        assert time.monotonic() - begun < 20
    there.to_board = lambda data: data
    with opened(there, made) as session:
        np.testing.assert_array_equal(session.run([inputs]).outputs[0], expected(inputs))


def test_a_cable_that_is_pulled(there: Board, made: Bundle) -> None:
    with opened(there, made) as session:
        there.unplug()
        with pytest.raises(DeviceError) as caught:
            session.run([samples(1)])
    assert f"the connection to {there.path} broke" in caught.value.message and "plugged in" in caught.value.hint


def test_a_board_with_another_network(there: Board, made: Bundle, tmp_path: Path) -> None:
    other = bundle(tmp_path / "other", "mps3-an547", replace(network(), digest=bytes(32)))
    with pytest.raises(DeviceError) as caught, opened(there, other):
        pass
    assert caught.value.message == f"{there.path} runs another network than the bundle's: 'tiny'"
    assert "firmware.elf" in caught.value.hint


def test_silence_and_endless_noise_end_soon(there: Board, made: Bundle) -> None:
    there.to_host = lambda data: b""
    runner = replace(runners.get(f"serial:{there.path}"), patience=0.2)  # type: ignore[type-var]
    begun = time.monotonic()
    with pytest.raises(DeviceError, match="does not answer HELLO"), runners.opened(runner, made):
        pass
    there.to_host = lambda data: os.urandom(4096) * 400
    with pytest.raises(DeviceError), runners.opened(runner, made):
        pass
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ttyACM0", "is not the address of a serial port"), ("", "is not the address"),
        ("/dev/ttyACM0,fast", "'fast' is not the rate"), ("/dev/ttyACM0,12345", "'12345' is not the rate"),
    ],
)  # fmt: skip
def test_wrong_addresses(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        runners.get(f"serial:{address}")


def test_addresses() -> None:
    assert Address.parse("/dev/ttyACM0") == Address("/dev/ttyACM0")
    assert Address.parse("/dev/ttyUSB1,921600") == Address("/dev/ttyUSB1", 921600)


@pytest.mark.parametrize(
    ("path", "said"), [("/dev/no-such-port", "there is no"), ("/dev/null", "is not a serial port")]
)
def test_ports_that_are_none(path: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said), SerialLine(path, 115200):
        pass


def test_a_runner_without_a_port(made: Bundle) -> None:
    with pytest.raises(UsageError, match="needs a serial port"), runners.opened(runners.get("serial"), made):
        pass
