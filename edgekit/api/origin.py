"""Whether a bundle's artifact is what its backend makes of the bundle's network, byte by byte."""

from __future__ import annotations

import shutil

from edgekit import sandbox
from edgekit.backends import Backend, Planned, Request, planned
from edgekit.bundle import Bundle, digest, relative_files
from edgekit.bundle.execution import Kind
from edgekit.target.kinds import BoardKind


def is_source(bundle: Bundle) -> bool:
    """True if the artifact is source that a vendor's tools read: scripts, and code that a simulation may not see.

    The target says so as well as the manifest, which is as little to be trusted as the artifact.
    """
    return bundle.execution.kind in (Kind.HLS, Kind.LOGIC) or bundle.target.kind in (BoardKind.HLS, BoardKind.LOGIC)


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
        again, there = set(relative_files(made)), set(relative_files(kept))
        for name in sorted(again | there):
            if name not in again:
                return f"artifact/{name} does not belong there"
            if name not in there:
                return f"artifact/{name} is missing"
            if digest(made / name) != digest(kept / name):
                return f"artifact/{name} is another one"
    return ""
