"""The verifier accepts what is sound and refuses the rest, whatever the bytes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import ModelError
from edgekit.graph import flatbuffer, tflite
from tests.networks.small import dense

SOUND = tflite.dumps(dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32)))


def test_sound_file_passes() -> None:
    flatbuffer.verify(SOUND)


@pytest.mark.parametrize("data", [b"", b"TFL3", bytes(64), b"\x10\0\0\0TFL3" + b"\xff" * 64])
def test_not_a_file(data: bytes) -> None:
    with pytest.raises(ModelError):
        flatbuffer.verify(data)


@given(st.integers(1, len(SOUND) - 1))
def test_truncation_never_escapes(cut: int) -> None:
    """Cut anywhere, the file is refused or (where only padding went) read; nothing else is ever raised."""
    try:
        tflite.loads(SOUND[:cut])
    except ModelError as error:
        assert "\n" not in error.message


@given(st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=400)
def test_changed_bytes_never_escape(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SOUND)
    for position, value in changes:
        data[position] = value
    try:
        graph = tflite.loads(bytes(data))
    except ModelError:
        return
    tflite.dumps(graph)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        tflite.loads(b"\x14\0\0\0TFL3" + data)


def test_field_numbers_are_the_schemas() -> None:
    """Every table's fields carry the vtable numbers of the generated accessors."""
    import inspect

    schema = tflite.schema()
    for name, fields in flatbuffer.TABLES.items():
        if name == "Any":
            continue
        source = inspect.getsource(getattr(schema, name))
        offsets = {int(n) for n in re.findall(r"self\._tab\.Offset\((\d+)\)", source)}
        ours = {4 + 2 * number for number in fields}
        assert offsets <= ours | {4 + 2 * 3 if name == "SignatureDef" else -1}, name


def test_endless_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector that names one table a million times costs a bounded number of steps."""
    monkeypatch.setattr(flatbuffer, "MAX_MEMORY", 1000)
    with pytest.raises(ModelError, match="more than a network can have"):
        flatbuffer.verify(SOUND)
