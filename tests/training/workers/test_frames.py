"""What is said over a worker's pipes arrives as it was said; everything else ends the talk and not the program."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.training.workers import frames
from edgekit.training.workers.frames import Channel, Ended, pack, unpack


class Line:
    """A channel to itself: what is sent comes back."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.channel = Channel(self.read, self.write)

    def close(self) -> None:
        for end in (self.read, self.write):
            os.close(end)


@pytest.fixture
def line() -> Iterator[Line]:
    found = Line()
    yield found
    found.close()


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v, max_size=3))


@given(st.lists(st.tuples(st.text(), values, st.binary()), max_size=4), st.sampled_from([b"", b"motd\n", b"\n\xff\n"]))
def test_frames_arrive_whole_and_in_order(said: list[tuple[str, object, bytes]], noise: bytes) -> None:
    line = Line()
    try:
        for kind, value, payload in said:
            os.write(line.write, noise)
            line.channel.send(kind, value, payload)
        for kind, value, payload in said:
            frame = line.channel.receive(1)
            assert frame is not None and (frame.kind, frame.value, frame.payload) == (kind, value, payload)
        assert line.channel.receive(0) is None
    finally:
        line.close()


def test_what_is_larger_than_the_pipe_arrives(line: Line) -> None:
    payload = np.random.default_rng(0).bytes(5 << 20)
    sender = threading.Thread(target=line.channel.send, args=("state", None, payload))
    sender.start()
    frame = line.channel.receive(20)
    sender.join()
    assert frame is not None and frame.payload == payload


@pytest.mark.parametrize(
    "nonsense",
    [
        b"edgekit-worker {\n",
        b"edgekit-worker []\n",
        b'edgekit-worker {"kind": "a"}\n',
        b'edgekit-worker {"kind": "a", "value": 1, "bytes": -1}\n',
        b'edgekit-worker {"kind": "a", "value": 1, "bytes": 99999999999999}\n',
        b'edgekit-worker {"kind": "a", "value": 1, "bytes": "x"}\n',
    ],
)
def test_nonsense_ends_it(line: Line, nonsense: bytes) -> None:
    os.write(line.write, nonsense)
    with pytest.raises(Ended):
        line.channel.receive(1)


def test_a_half_frame_is_waited_for_and_its_end_is_noticed() -> None:
    read, write = os.pipe()
    channel = Channel(read, os.open(os.devnull, os.O_WRONLY))
    os.write(write, b"edgekit-worker " + json.dumps({"kind": "a", "value": 1, "bytes": 4}).encode() + b"\nab")
    assert channel.receive(0.05) is None
    assert channel.silent < 5
    os.close(write)
    with pytest.raises(Ended):
        channel.receive(1)
    os.close(read)


def test_nobody_listens(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "SILENCE", 0.1)
    with pytest.raises(Ended):
        line.channel.send("state", None, bytes(1 << 20))  # the pipe is full, and nobody empties it


def test_arrays() -> None:
    found = unpack(pack({"x": np.arange(3), "y": np.float32([[1.5]])}))
    assert found["x"].tolist() == [0, 1, 2] and found["y"].dtype == np.float32
    for damaged in (b"", b"PK\x03\x04", pack({"x": np.arange(3)})[:-30]):
        with pytest.raises(Ended):
            unpack(damaged)


def test_an_abandoned_talk_ends_at_once_whoever_holds_the_other_end(line: Line) -> None:
    """The pipe is full and nobody reads it; then nobody writes to it: the other ends stay open all the while."""
    ended: list[str] = []

    def wait(what: str) -> None:
        try:
            line.channel.send("state", None, bytes(1 << 20)) if what == "send" else other.channel.receive(60)
        except Ended:
            ended.append(what)

    other = Line()
    threads = [threading.Thread(target=wait, args=(what,)) for what in ("send", "receive")]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert not ended
    began = time.monotonic()
    line.channel.abandon()
    other.channel.abandon()
    for thread in threads:
        thread.join(10)
    assert sorted(ended) == ["receive", "send"]
    assert time.monotonic() - began < 5
    other.close()
