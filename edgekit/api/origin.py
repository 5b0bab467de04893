"""Whether a bundle's artifact is what its backend makes of the bundle's network, byte by byte."""

from __future__ import annotations

import shutil

from edgekit import sandbox
from edgekit.backends import Backend, Planned, Request, planned
from edgekit.bundle import Bundle, digest, relative_files
from edgekit.bundle.execution import Kind
from edgekit.target.kinds import BoardKind

SOURCES = ("hls4ml", "da4ml")
"""Backends whose artifact is source for a vendor's tools."""
WRITERS = (*SOURCES, "null")
"""Backends that targets of such tools have."""


def is_source(bundle: Bundle) -> bool:
    """True if the artifact is source that a vendor's tools read: scripts, and code that a simulation may not see.

    The manifest is as little to be trusted as the artifact, so one sign is enough: its kind, its target, its backend,
    or the folders that users are told to give to those tools.
    """
    from edgekit.backends.da4ml.document import RTL
    from edgekit.backends.hls4ml.document import PROJECT

    return (
        bundle.execution.kind in (Kind.HLS, Kind.LOGIC)
        or bundle.target.kind in (BoardKind.HLS, BoardKind.LOGIC)
        or bundle.manifest["backend"] in SOURCES
        or any((bundle.artifact / folder).is_dir() for folder in (PROJECT, RTL))
    )


def difference(bundle: Bundle, backend: Backend, plan: Planned | None = None, tuning: str | None = None) -> str:
    """Build the artifact again; return the first file that differs and how, or "" if none does.

    :param plan: the backend's, of the bundle's network; default: made anew. :param tuning: see :class:`Request`.
    :raises ModelError: if the backend cannot compile the network. :raises ToolMissing: if it lacks a tool.
    """
    with sandbox.scratch() as folder:
        for name in ("model.tflite", "golden.npz"):
            shutil.copyfile(bundle.path / name, folder / name)
        made, kept = folder / "artifact", bundle.artifact
        made.mkdir()
        plan = plan or planned(backend, bundle.graph, bundle.target)
        backend.build(plan, Request(folder / "model.tflite", made, tuning))
        again = set(relative_files(made))
        there = set(relative_files(kept)) if kept.is_dir() else set[str]()
        for name in sorted(again | there):
            if name not in again:
                return f"artifact/{name} does not belong there"
            if name not in there:
                return f"artifact/{name} is missing"
            if digest(made / name) != digest(kept / name):
                return f"artifact/{name} is another one"
    return ""
