"""From a WAV file to the word on an emulated Cortex-M4: the example's own steps, with next to no training."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

EXAMPLE = Path(__file__).parents[2] / "examples" / "keyword_spotting"
sys.path.insert(0, str(EXAMPLE))

import emulated  # noqa: E402
import speech  # noqa: E402

TOOLS = ("espeak-ng", "arm-none-eabi-gcc", "qemu-system-arm", "make")
pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.emulator]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of the demo."""
    for tool in TOOLS:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    out = tmp_path_factory.mktemp("keywords")
    command = [sys.executable, EXAMPLE / "demo.py", "--quick", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def wav(samples: NDArray[np.int16], *, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def test_the_firmware_gives_the_references_answers(demo: tuple[Path, str]) -> None:
    _, said = demo
    assert "6 of 6 answers of the firmware equal the reference's" in said
    heard = {tuple(line.split()[1:5]) for line in said.splitlines() if "heard:" in line}
    assert len(heard) >= 3, "the network tells nothing apart, so that the comparison means little"


def test_cycles_are_those_of_the_counted_instructions(demo: tuple[Path, str]) -> None:
    """The trace plugin and SysTick count the same, and a Cortex-M4 takes one to two cycles per instruction."""
    _, said = demo
    counted = [int(n) for n in re.findall(r"heard: .* front-end (\d+) network (\d+) instructions", said)[0]]
    modelled = [int(n.replace(",", "")) for n in re.findall(r"; ([\d,]+) cycles without wait states", said)]
    assert len(modelled) == 2
    for instructions, cycles in zip(counted, modelled, strict=True):
        assert instructions < cycles < 2 * instructions


def test_whatever_comes_over_the_line(demo: tuple[Path, str]) -> None:
    """Files that are not a second of 16 bits at 16 kHz, damaged ones, and others between them."""
    out, _ = demo
    tone = (8000 * np.sin(np.arange(16_000) * 0.2)).astype(np.int16)
    plain = wav(tone)
    chunk = b"LIST" + (5).to_bytes(4, "little") + b"abcde\0"
    extended = b"fmt " + (18).to_bytes(4, "little") + plain[20:36] + b"\0\0" + plain[36:]
    files = {
        "plain": plain,
        "longer": wav(np.r_[tone, tone[:4000]])[: len(plain)],
        "shorter": wav(np.r_[tone[:12_000]]),
        "silence": wav(np.zeros(0, np.int16)),
        "other chunks": plain[:12] + chunk + plain[12:],
        "longer format": plain[:12] + extended,
        "noise before": b"RIFRIRIFF"[:6] + bytes(range(256)) + plain,
        "8 kHz": wav(tone[:0], rate=8_000),
        "stereo": wav(tone[:0], channels=2),
        "8 bits": wav(tone[:0], width=1),
        "not WAVE": b"RIFF\0\0\0\0AVI ",
        "huge chunk": b"RIFF\0\0\0\0WAVE" + b"LIST\xff\xff\xff\xff",
        "plain again": plain,
    }
    answers = dict(
        zip(files, emulated.answers(out / "firmware" / "emulator" / "keywords.elf", list(files.values())), strict=True)
    )
    heard = {name: answer.split(" front-end")[0] for name, answer in answers.items()}
    same = ("plain", "longer", "other chunks", "longer format", "noise before", "plain again")
    assert len({heard[name] for name in same}) == 1 and heard["plain"].startswith("heard: ")
    assert heard["silence"].startswith("heard: ") and heard["shorter"].startswith("heard: ")
    for name in ("8 kHz", "stereo", "8 bits"):
        assert heard[name] == "error: not 16 bits, one channel, 16000 Hz"
    assert heard["not WAVE"] == "error: not a WAV file"
    assert heard["huge chunk"] == "error: a damaged WAV file"


def test_it_links_for_the_board(demo: tuple[Path, str]) -> None:
    out, _ = demo
    places = [f"OUT={out / 'firmware'}", f"BUNDLE={out / 'keywords.int8.nucleo-l4r5zi'}", "BOARD=nucleo-l4r5zi"]
    subprocess.run(["make", "-C", EXAMPLE / "firmware", *places], check=True, capture_output=True)
    symbols = subprocess.check_output(
        ["arm-none-eabi-nm", out / "firmware" / "nucleo-l4r5zi" / "keywords.elf"], text=True
    )
    vectors = next(line for line in symbols.splitlines() if line.endswith(" ek_vectors"))
    assert vectors.startswith("08000000 ")


def test_words_are_cut_apart() -> None:
    word, pause = np.full(3000, 5000, np.int16), np.zeros(8000, np.int16)
    parts = speech.separated(np.r_[pause, word, pause, word, word, pause])
    assert [len(part) for part in parts] == [3640 - 1, 6640 - 1]


def test_resampling_keeps_a_tone() -> None:
    tone = (10_000 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)).astype(np.int16)
    expected = 10_000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(speech.resampled(tone, 22_050) - expected).max() < 5
