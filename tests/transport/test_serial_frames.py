"""Frames and the client, against a line that does as it is told."""

from __future__ import annotations

import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import resources
from edgekit.errors import DeviceError
from edgekit.transport.frames import MAGIC, MOST, Client, Command, Decoder, Frame, Reset, Status

frames = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1),
    st.binary(max_size=MOST),
)  # fmt: skip


@given(st.lists(frames, max_size=4), st.lists(st.integers(1, 40), min_size=1))
def test_frames_arrive_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    data, decoder, found, at = b"".join(frame.encoded() for frame in sent), Decoder(), [], 0
    while at < len(data):
        for cut in cuts:
            found += decoder.feed(data[at : at + cut])
            at += cut
    assert found == sent and decoder.passed == 0


@given(frames, st.binary(max_size=60), st.data())
def test_one_flipped_bit_loses_only_its_frame(frame: Frame, noise: bytes, data: st.DataObject) -> None:
    good = Frame(1, 2, 3, 4, b"payload")
    damaged = bytearray(frame.encoded())
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    found = Decoder().feed(noise.replace(MAGIC[:1], b"") + bytes(damaged) + good.encoded() + bytes(MOST + 32))
    assert frame not in found or frame == good
    assert good in found


def test_what_a_frame_looks_like() -> None:
    data = Frame(5, 0, 0x0102, 0x03040506, b"\x07").encoded()
    header = bytes.fromhex("454bc33c050002010605040301000000")
    assert data == header + struct.pack("<I", zlib.crc32(header)) + b"\x07" + struct.pack("<I", zlib.crc32(b"\x07"))


class Line:
    """Answers each frame with what ``answer`` makes of it; nothing else happens."""

    shown = "the line"

    def __init__(self, answer: Callable[[Frame], bytes]) -> None:
        self.answer, self.sent, self.waiting = answer, list[Frame](), b""
        self.decoder = Decoder()

    def write(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            self.sent.append(frame)
            self.waiting += self.answer(frame)

    def read(self, seconds: float) -> bytes:
        data, self.waiting = self.waiting, b""
        return data


def reply(frame: Frame, status: int = Status.OK, payload: bytes = b"", **changes: int) -> bytes:
    session, kind = changes.get("session", frame.session), changes.get("kind", frame.kind | 0x80)
    return Frame(kind, status, changes.get("sequence", frame.sequence), session, payload).encoded()


def client(answer: Callable[[Frame], bytes]) -> Client:
    return Client(Line(answer), patience=0.05)


def test_an_answer() -> None:
    assert (
        client(lambda frame: reply(frame, payload=frame.payload[::-1])).ask(Command.SIZE, 1, data=b"x") == b"x\0\0\0\1"
    )


def test_a_lost_answer_is_asked_for_again_with_the_same_number() -> None:
    answers: Iterator[bool] = iter([False, False, True])
    one = client(lambda frame: reply(frame, payload=b"ok") if next(answers) else b"")
    assert one.ask(Command.RUN) == b"ok"
    assert len({frame.sequence for frame in one.line.sent}) == 1 and len(one.line.sent) == 3  # type: ignore[attr-defined]
    one.line.answer = lambda frame: reply(frame, payload=b"next")  # type: ignore[attr-defined]
    assert one.ask(Command.RUN) == b"next"
    assert one.line.sent[-1].sequence != one.line.sent[0].sequence  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sequence": 99}, "does not answer RUN"), ({"session": 99}, "does not answer RUN"),
        ({"kind": 0x81}, "does not answer RUN"), ({"status": Status.WRONG}, "refuses RUN"),
        ({"status": Status.UNKNOWN}, "refuses RUN"), ({"status": Status.NO_SESSION}, "was reset"),
        ({"kind": 0xFE, "session": 0}, "was reset"),
        ({"kind": 0xFF, "payload": b"\x34\x12\0\0"}, "crashed at address 0x00001234"),
        ({"kind": 0x05}, "does not answer RUN"),
    ],
)  # fmt: skip
def test_other_answers(wrong: dict, said: str) -> None:
    with pytest.raises(DeviceError) as caught:
        client(lambda frame: reply(frame, **wrong)).ask(Command.RUN)
    assert said in caught.value.message and caught.value.hint
    assert isinstance(caught.value, Reset) == ("reset" in said)


def test_a_board_that_restarts_while_the_session_begins_is_waited_for() -> None:
    assert client(lambda frame: reply(frame, kind=0xFE, session=0) + reply(frame, payload=b"hi")).hello() == b"hi"


def test_endless_noise_ends() -> None:
    with pytest.raises(DeviceError, match="not the firmware's protocol"):
        Client(Line(lambda frame: bytes(2 << 20)), patience=5).ask(Command.HELLO)


def test_the_firmware_has_the_same_protocol(tmp_path: Path) -> None:
    """What the C code sends is what Python reads: frames with and without a payload, and their commands' numbers."""
    source = tmp_path / "main.c"
    source.write_text("""
        #include "ek_frame.h"
        #include "ek_server.h"
        #include "ek_port.h"
        #include <stdio.h>
        void ek_uart_send(uint8_t byte) { putchar(byte); }
        uint8_t ek_uart_receive(void) { return 0; }
        int main(void)
        {
            static struct ek_frame one = {EK_RUN, EK_WRONG, 77, 0x01020304, 5, {1, 2, 3, 4, 5}}, two = {EK_PLACE};
            ek_frame_send(&one);
            ek_frame_send(&two);
            return 0;
        }
    """)
    stubs = resources.folder("firmware_stubs")
    program = tmp_path / "sends"
    folders = [f"-I{stubs / name}" for name in ("mcu", "kernels")]
    subprocess.run(["gcc", *folders, source, stubs / "mcu" / "ek_frame.c", "-o", program], check=True)
    data = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout
    assert Decoder().feed(data) == [
        Frame(Command.RUN, Status.WRONG, 77, 0x01020304, b"\1\2\3\4\5"), Frame(Command.PLACE, 0, 0, 0),
    ]  # fmt: skip
