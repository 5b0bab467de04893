"""A board's end of the accelerator's serial line: its commands and registers, without the accelerator."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgekit.codegen.schedule.overlay import Machine
from edgekit.runners.overlay.board import BEATS, COMMANDS, CONFIG, CONTROL, ID, MAGIC


@dataclass
class UartBoard:
    """Words by address; ``results``: what a run leaves. :param passed: what of the bytes that come reaches it."""

    machine: Machine
    results: Mapping[int, int] = field(default_factory=dict)
    commands: int = 0
    magic: int = MAGIC
    passed: Callable[[int, bytes], bytes] = lambda place, data: data
    words: dict[int, int] = field(default_factory=dict)
    runs: int = 0

    def serve(self, line: int) -> None:
        """Answer until the line is closed."""
        lanes = self.machine
        config = lanes.ic | lanes.oc << 8 | lanes.packed << 16 | (lanes.lanes == 8) << 17
        self.words |= {ID: self.magic, CONFIG: config}
        begun, place = b"", 0
        while True:
            try:
                came = os.read(line, 1 << 12)
            except OSError:
                return
            begun += self.passed(place, came)
            place += len(came)
            while begun:
                size = {ord("W"): 8, ord("R"): 4}.get(begun[0], 1)
                if len(begun) < size:
                    break
                one, begun = begun[:size], begun[size:]
                if size == 4:
                    os.write(line, self.words.get(int.from_bytes(one[1:4], "little"), 0).to_bytes(4, "little"))
                elif size == 8:
                    self.take(int.from_bytes(one[1:4], "little"), int.from_bytes(one[4:], "little"))

    def take(self, address: int, word: int) -> None:
        """Write a word; one in CONTROL starts a run, which is over at once."""
        self.words[address] = word
        if address == CONTROL:
            self.runs += 1
            self.words |= {**self.results, COMMANDS: self.commands, 0x20: 100, 0x30: self.words.get(BEATS, 0)}


@contextmanager
def connected(board: UartBoard) -> Iterator[str]:
    """The name of the board's terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    thread = threading.Thread(target=board.serve, args=(master,), daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(slave)
        thread.join(5)
        os.close(master)
