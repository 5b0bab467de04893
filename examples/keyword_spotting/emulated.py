"""Send WAV files to the firmware in an emulated Cortex-M4, and print what it answers.

python examples/keyword_spotting/emulated.py build/keywords/firmware/emulator/keywords.elf my.wav ...
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

QEMU = (
    "qemu-system-arm", "-M", "mps2-an386", "-icount", "shift=0", "-nic", "none", "-display", "none", "-monitor", "none",
    "-serial", "stdio", "-kernel",
)  # fmt: skip
"""One instruction takes a nanosecond of the emulated time: see ``firmware/emulator/ek_config.h``."""
PATIENCE = 300.0
"""Seconds for all files together; a file takes one or two, as QEMU passes on its bytes one by one."""


def answers(firmware: Path, files: Sequence[bytes], options: Sequence[str] = ()) -> list[str]:
    """Return the firmware's line for each file.

    :param options: of QEMU, beside the usual ones. :raises SystemExit: if it does not answer.
    """
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [*QEMU, firmware, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as emulator,
    ):
        assert emulator.stdin and emulator.stdout
        watch = threading.Timer(PATIENCE, emulator.kill)
        watch.start()
        try:
            if (first := line(emulator.stdout.readline())) != "ready":
                raise SystemExit(f"the firmware does not start: {first}")
            return [answer(emulator, content) for content in files]
        except BrokenPipeError:
            log.seek(0)
            raise SystemExit(f"the emulator ended early: {log.read()}") from None
        finally:
            watch.cancel()
            emulator.kill()


def answer(emulator: subprocess.Popen[bytes], content: bytes) -> str:
    """Send one file; return the line that comes back."""
    assert emulator.stdin and emulator.stdout
    emulator.stdin.write(content)
    emulator.stdin.flush()
    return line(emulator.stdout.readline())


def line(said: bytes) -> str:
    """Return a line as text; none is an error."""
    if not said.endswith(b"\n"):
        raise SystemExit(f"the firmware stopped after {said!r}")
    return said.decode(errors="replace").strip()


def main() -> int:
    """Send files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firmware", type=Path)
    parser.add_argument("wav", type=Path, nargs="+", help="16 bits, one channel, 16 kHz; the first second is used")
    args = parser.parse_args()
    for path, answer in zip(args.wav, answers(args.firmware, [path.read_bytes() for path in args.wav]), strict=True):
        print(f"{path.name}: {answer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
