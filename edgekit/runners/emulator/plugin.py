"""Builds the trace plugin of qemu-user."""

from __future__ import annotations

from pathlib import Path

from edgekit.runners import tracing

_SOURCES = ("trace_plugin.c", "cache_model.h", "classify.h")


def get() -> Path:
    """Return the plugin as a shared library; see :func:`edgekit.runners.tracing.built`."""
    return tracing.built([Path(__file__).parent / name for name in _SOURCES], "trace")
