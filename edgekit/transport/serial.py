"""Serial ports, by the kernel's own interface (termios): a board's UART on its USB cable, or a pseudo-terminal."""

from __future__ import annotations

import errno
import os
import select
import stat
import termios
import time
from dataclasses import dataclass
from types import TracebackType

from edgekit.errors import DeviceError, UsageError

BAUD = 115200
_WRITE_SECONDS = 10.0
_RATES = {int(name[1:]): getattr(termios, name) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


@dataclass(frozen=True)
class Address:
    """What stands after ``serial:``: ``/dev/ttyACM0`` or ``/dev/ttyACM0,921600``."""

    path: str
    baud: int | None = None

    @staticmethod
    def parse(text: str) -> Address:
        """Parse the address.

        :raises UsageError: if it is not one.
        """
        path, comma, rate = text.partition(",")
        if not path.startswith("/"):
            raise UsageError(
                f"'serial:{text}' is not the address of a serial port", "write serial:/dev/ttyACM0 or "
                "serial:/dev/ttyACM0,115200"
            )  # fmt: skip
        if comma and (not rate.isdecimal() or int(rate) not in _RATES or int(rate) == 0):
            known = ", ".join(str(one) for one in sorted(_RATES) if one >= 9600)
            raise UsageError(f"{rate!r} is not the rate of a serial port", f"use one of {known}")
        return Address(path, int(rate) if comma else None)


class SerialLine:
    """An open serial port; see :class:`edgekit.transport.frames.Line`. Eight bits, no parity, no flow control."""

    def __init__(self, path: str, baud: int) -> None:
        self._path, self._baud = path, baud
        self._port = -1
        self._before: list[int | list[bytes | int]] | None = None

    @property
    def shown(self) -> str:
        """The device, in messages."""
        return self._path

    def __enter__(self) -> SerialLine:
        try:
            self._port = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            if not stat.S_ISCHR(os.fstat(self._port).st_mode):
                raise DeviceError(f"{self._path} is not a serial port", "`ls /dev/ttyACM* /dev/ttyUSB*` lists them")
            self._set()
        except (OSError, termios.error) as error:
            self.close()
            raise self._cannot(error) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _set(self) -> None:
        self._before = termios.tcgetattr(self._port)
        _, _, cflag, _, _, _, control = termios.tcgetattr(self._port)
        assert isinstance(cflag, int)
        cflag &= ~(termios.CSIZE | termios.PARENB | termios.CSTOPB | termios.CRTSCTS)
        cflag |= termios.CS8 | termios.CREAD | termios.CLOCAL
        rate = _RATES[self._baud]
        termios.tcsetattr(self._port, termios.TCSANOW, [0, 0, cflag, 0, rate, rate, control])
        termios.tcflush(self._port, termios.TCIOFLUSH)

    def write(self, data: bytes) -> None:
        """See :class:`edgekit.transport.frames.Line`."""
        rest, end = memoryview(data), time.monotonic() + _WRITE_SECONDS
        while rest:
            _, ready, _ = select.select([], [self._port], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise DeviceError(f"{self._path} takes no data", "is the board powered? unplug it, and try again")
            try:
                rest = rest[os.write(self._port, rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._broke(error) from error

    def read(self, seconds: float) -> bytes:
        """See :class:`edgekit.transport.frames.Line`."""
        ready, _, _ = select.select([self._port], [], [], max(0.0, seconds))
        if not ready:
            return b""
        try:
            data = os.read(self._port, 1 << 12)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._broke(error) from error
        if not data:
            raise self._broke(OSError(errno.EIO, "no more data"))
        return data

    def close(self) -> None:
        """Set the port as it was, and close it; never raises."""
        if self._port < 0:
            return
        try:
            if self._before is not None:
                termios.tcsetattr(self._port, termios.TCSANOW, self._before)
        except (OSError, termios.error):
            pass
        os.close(self._port)
        self._port = -1

    def _broke(self, error: OSError) -> DeviceError:
        why = error.strerror or str(error)
        return DeviceError(f"the connection to {self._path} broke: {why}", "is the board still plugged in?")

    def _cannot(self, error: OSError | termios.error) -> DeviceError:
        number = error.args[0] if error.args else 0
        if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            return DeviceError(f"there is no {self._path}", "`ls /dev/ttyACM* /dev/ttyUSB*` lists serial ports")
        if number in (errno.EACCES, errno.EPERM):
            return DeviceError(
                f"no permission for {self._path}", "as root: usermod -a -G dialout USER, then log in again"
            )
        if number == errno.EBUSY:
            return DeviceError(f"{self._path} is in use", "close the program that uses it")
        if number in (errno.ENOTTY, errno.EINVAL):
            return DeviceError(f"{self._path} is not a serial port", "`ls /dev/ttyACM* /dev/ttyUSB*` lists them")
        return DeviceError(f"{self._path} cannot be opened: {error.args[-1]}")
