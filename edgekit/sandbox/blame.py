"""Attribution of exceptions: edgekit's own code, or data that a library refused.

Libraries raise whatever they like on a damaged model, so what one of them raised is said of the model. What edgekit's
own code raised is a bug and stays one, unless it is an :class:`~edgekit.errors.EdgekitError`: damaged data is to be
found by validation, not by stumbling over it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

SLIPS = (TypeError, AttributeError, NameError, LookupError, AssertionError)
"""Errors of Python that indicate a bug. Others, such as ValueError, often report what a library's C code found."""
_OWN = str(Path(__file__).resolve().parents[1]) + "/"


def is_bug(error: BaseException) -> bool:
    """True if edgekit's own code has a bug."""
    return isinstance(error, SLIPS) and _raised_in(error.__traceback__).startswith(_OWN)


def _raised_in(trace: TracebackType | None) -> str:
    """The file of the frame that raised."""
    name = ""
    while trace is not None:
        name, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return name
