"""Source material in a bundle: what is written is read again, and what is damaged is refused in one line."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.material import DECISIONS, FILE, MOST_PIXELS, MOST_SAMPLES, Material, read, same, save, size_of
from edgekit.data.wav import Recording
from edgekit.errors import CheckFailed
from edgekit.tasks.sound import MOST_RATE

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
SOUND = Recording(16_000, np.array([[1], [-2], [300]], np.int16))
TEXT = "a caf\u00e9"
ROW = (1.5, "red", -0.0)


def u8(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize("thing", [PICTURE, SOUND, TEXT, ROW])
def test_what_is_saved_is_read(tmp_path: Path, thing: Any) -> None:
    material = Material((2, 0), (thing, thing), ({"sample": "2"}, {"sample": "0"}))
    save(tmp_path, material)
    first = (tmp_path / FILE).read_bytes()
    save(tmp_path, material)
    found = read(tmp_path, 3)
    assert first == (tmp_path / FILE).read_bytes()
    assert found is not None and found.rows == (2, 0) and found.decisions == material.decisions
    assert found.packed() == material.packed() and size_of(thing) == ((3, 2) if thing is PICTURE else None)


def test_records_are_those_of_the_c_runner() -> None:
    """A kind, two numbers and a length, all of 32 bits; then the bytes (``decide.h``)."""
    packed = Material((0, 1, 2, 3), (PICTURE, SOUND, TEXT, ROW)).packed()
    expected = struct.pack("<4I", 1, 3, 2, 18) + PICTURE.tobytes()
    expected += struct.pack("<4I", 2, 16_000, 1, 6) + struct.pack("<3h", 1, -2, 300)
    expected += struct.pack("<4I", 3, 0, 0, 7) + TEXT.encode()
    cells = b"n" + struct.pack("<d", 1.5) + b"tred\0" + b"n" + struct.pack("<d", -0.0)
    assert packed == expected + struct.pack("<4I", 4, 3, 0, len(cells)) + cells


def test_a_bundle_may_have_none(tmp_path: Path) -> None:
    assert read(tmp_path, 4) is None


def test_limits_are_allowed(tmp_path: Path) -> None:
    flat = np.zeros((1, MOST_PIXELS, 3), np.uint8)
    long = Recording(MOST_RATE, np.zeros((MOST_SAMPLES, 1), np.int16))
    save(tmp_path, Material((0, 3), (flat, long), ({}, {})))
    assert read(tmp_path, 4) is not None
    assert (MOST_PIXELS, MOST_SAMPLES, MOST_RATE) == (512 * 512, 2_097_152, 768_000)


GOOD = {"picture0": PICTURE}
RATE = np.array([8000], np.uint32)
DAMAGED: list[dict[str, Any]] = [
    {}, {"picture": PICTURE}, {"picture00": PICTURE}, {"picture4": PICTURE}, {"other0": PICTURE},
    {f"picture{n}": PICTURE for n in range(5)}, {"picture0": PICTURE, "text0": u8("a")},
    {"picture0": PICTURE.astype(np.int8)}, {"picture0": PICTURE[0]}, {"picture0": PICTURE[:, :, :2]},
    {"picture0": PICTURE[:0]}, {"picture0": np.zeros((1, MOST_PIXELS + 1, 3), np.uint8)},
    {"sound0": SOUND.samples}, {"sound0": SOUND.samples, "rate0": RATE[:0]},
    {"sound0": SOUND.samples, "rate0": RATE * 0}, {"sound0": SOUND.samples, "rate0": RATE - 8000 + MOST_RATE + 1},
    {"sound0": SOUND.samples.astype(np.int32), "rate0": RATE}, {"sound0": SOUND.samples[:, 0], "rate0": RATE},
    {"sound0": np.zeros((3, 2), np.int16), "rate0": RATE},
    {"sound0": np.zeros((MOST_SAMPLES + 1, 1), np.int16), "rate0": RATE},
    {"text0": u8("a").astype(np.uint16)}, {"text0": u8("ab").reshape(1, 2)}, {"text0": np.zeros(100_001, np.uint8)},
    {"text0": np.array([255], np.uint8)},
    {"row0": u8("{}")}, {"row0": u8("[1]")}, {"row0": u8("[NaN]")}, {"row0": u8("[null]")}, {"row0": u8("[")},
    {"row0": u8(json.dumps(["a\0"]))}, {"row0": u8(json.dumps(["a" * 201]))}, {"row0": u8('["\\ud800"]')},
    {"row0": u8("[1.0]").reshape(1, 5)}, {"row0": u8("[1.0]").astype(np.uint16)},
]  # fmt: skip


@pytest.mark.parametrize("arrays", DAMAGED)
def test_damaged_material_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(tmp_path / FILE, **arrays)
    count = len([name for name in arrays if not name.startswith("rate")])
    (tmp_path / DECISIONS).write_text(json.dumps({"schema": 1, "decisions": [{}] * count}))
    with pytest.raises(CheckFailed, match="is damaged") as refused:
        read(tmp_path, 4)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("text", [
    "", "[]", '{"schema": 2, "decisions": [{}]}', '{"schema": 1, "decisions": []}', '{"schema": 1}', None,
])  # fmt: skip
def test_damaged_decisions_are_refused(tmp_path: Path, text: str | None) -> None:
    np.savez_compressed(tmp_path / FILE, **GOOD)
    if text is not None:
        (tmp_path / DECISIONS).write_text(text)
    with pytest.raises(CheckFailed, match="is damaged"):
        read(tmp_path, 4)


def test_decisions_are_the_same_in_every_bit() -> None:
    assert same({"a": 0.1, "b": [1]}, {"b": [1], "a": 0.1})
    assert not same({"a": 0.1}, {"a": 0.1 + 2**-56}) and not same({"a": 0.0}, {"a": -0.0})
