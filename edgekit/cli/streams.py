"""The standard streams as edgekit finds them: closed, full, without a reader, or too narrow for the text it prints."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress

import click

from edgekit.text.printable import printable


def prepare() -> bool:
    """Make the standard streams usable for whatever is printed; return whether stdout was open.

    A closed descriptor is taken by ``/dev/null``, so that no file that is opened later becomes "stdout". What a stream
    cannot encode is written as the bytes of the file name that it came from, or as an escape; it never ends edgekit.
    """
    there = [_fill(number) for number in range(3)]
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.dup(2), "w")
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.dup(1), "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            unicode = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")
    return there[1]


def say(line: str, *, err: bool = False) -> None:
    """Print one line for people, on stdout or stderr, as :func:`edgekit.text.printable.printable`."""
    click.echo(printable(line), err=err)


def flush() -> OSError | None:
    """Write out what was printed; return what went wrong, if anything. Nothing is left for the end of the process."""
    try:
        sys.stdout.flush()
    except OSError as error:
        discard()
        return error
    return None


def discard() -> None:
    """Throw away what was printed but cannot be written, so that the end of the process does not try again."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        sys.stdout.flush()


def reader_gone() -> bool:
    """True if stdout is a pipe whose reader has ended (``edgekit targets | head -1``)."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _fill(number: int) -> bool:
    """Open ``/dev/null`` as a descriptor that is closed; return whether it was open."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        return False
    return True
