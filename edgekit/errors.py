"""All errors that a user can encounter, each with its exit code.

An error carries two lines: ``message`` says what is wrong, ``hint`` what to do about it. The command line
prints both and exits with ``exit_code``; anything that is not an :class:`EdgekitError` is a bug in edgekit
and exits with 1.
"""

from __future__ import annotations


class EdgekitError(Exception):
    """Base of all expected errors.

    :param message: one line on what is wrong.
    :param hint: one line on what to do; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())


class UsageError(EdgekitError):
    """Wrong flags, names, files or data given by the user."""

    exit_code = 2


class ModelError(EdgekitError):
    """The model cannot be read, is not trusted, or is not supported."""

    exit_code = 3


class DamagedModel(ModelError):
    """Shapes, options or constants of the model contradict one another."""


class QuantizationFailed(ModelError):
    """An operator of the network cannot be quantized as the recipe says; `edgekit diagnose` says which, and why."""


class ToolMissing(EdgekitError):
    """An external program or package is not installed; the hint says how to get it."""

    exit_code = 4


class CheckFailed(EdgekitError):
    """Parity, accuracy, a checksum or a budget did not hold."""

    exit_code = 5


class DeviceError(EdgekitError):
    """A device or an emulator failed, or could not be reached."""

    exit_code = 6


BY_NAME: dict[str, type[EdgekitError]] = {
    kind.__name__: kind
    for kind in (UsageError, ModelError, DamagedModel, QuantizationFailed, ToolMissing, CheckFailed, DeviceError)
}
"""Error classes by name, to rebuild an error that a child process reported."""
