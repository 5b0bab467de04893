"""Record what every backend builds from a fixed set of networks, or compare it with an earlier record.

    python tools/artifact_digests.py before.json              # record: every backend, network and recipe
    python tools/artifact_digests.py after.json before.json   # record, then list what differs; exit 1 if anything does
    python tools/artifact_digests.py --only tvm after.json before.json     # only backends or networks of this name
    python tools/artifact_digests.py --models FOLDER after.json before.json    # other networks

For refactoring: an artifact has to stay the same byte for byte, wherever the code that builds it goes. The record holds
the SHA-256 of each file of the artifact and of ``model.tflite``; a combination that is refused is recorded with the
class of the error. Nothing is proven here, and no tuning database is used. The networks are those of
``../shared/models``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

from edgekit import plugins, target
from edgekit.api.job import prepare, read
from edgekit.backends import Backend, Request
from edgekit.errors import EdgekitError
from edgekit.graph import Graph
from edgekit.passes import recipe
from edgekit.progress import Silent

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
RECIPES = ("as-is", "int8")
SUFFIXES = (".tflite", ".onnx", ".h5")
ALSO = {"tvm": ("rpi4", "rpi5"), "c99": ("host", "mps3-an547", "nucleo-l4r5zi")}
"""Boards beside a backend's first one, where they get other kernels, or another kind of artifact."""

Record = dict[str, dict[str, str]]
"""By network, recipe, backend and board: the digest of each file, or why there is none."""


def boards(before: Record) -> dict[str, list[str]]:
    """Return the targets to compile for by backend: the first that each serves, those of ``ALSO`` and of a record."""
    earlier = {tuple(name.rsplit(", ", 1)[1].split(" on ")) for name in before if " on " in name}
    targets = {name: target.load(name) for name in sorted(target.names())}
    result = {}
    for backend in sorted(plugins.names("backends")):
        first = next((name for name, one in targets.items() if backend in one.backends), None)
        if first is not None:
            known = sorted(board for name, board in earlier if name == backend and board in targets)
            result[backend] = list(dict.fromkeys((first, *ALSO.get(backend, ()), *known)))
    return result


def networks(folder: Path, only: str) -> list[Path]:
    """Return the models of ``folder`` whose names contain ``only``; all of them if none does."""
    models = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    return [path for path in models if only in path.name] or models


def record(folder: Path, only: str, progress: Path, recipes: tuple[str, ...], before: Record) -> Record:
    """Build everything, also for the boards of an earlier record; write the record to ``progress`` as it grows."""
    chosen = boards(before)
    chosen = {name: chosen[name] for name in chosen if only in name} or chosen
    result: Record = {}
    for model in networks(folder, only):
        for name in recipes:
            label = f"{model.relative_to(folder)}, {name}"
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    source = read(model, "random", None, 0, False, Silent())
                    job = prepare(source, recipe.load(name), 0, "1", Silent())
                except EdgekitError as error:
                    result[label] = {"refused": type(error).__name__}
                    progress.write_text(json.dumps(result, indent=1) + "\n")
                    continue
                file = Path(scratch) / "model.tflite"
                file.write_bytes(job.data)
                result[label] = {file.name: hashlib.sha256(job.data).hexdigest()}
                for backend, targets in chosen.items():
                    for board in targets:
                        entry = digests(plugins.get("backends", backend), job.graph, file, board)
                        result[f"{label}, {backend} on {board}"] = entry
            print(label, flush=True)
            progress.write_text(json.dumps(result, indent=1) + "\n")
    return result


def digests(backend: Backend, graph: Graph, model: Path, board: str) -> dict[str, str]:
    """Build one artifact; return the SHA-256 of each of its files, or why there is none."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            planned = backend.plan(graph, target.load(board))
            if isinstance(planned, list):
                return {"refused": f"operator {planned[0].index}"}
            backend.build(planned, Request(model, folder))
        except EdgekitError as error:
            return {"refused": type(error).__name__}
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def differences(before: Record, after: Record) -> list[str]:
    """Return a line for each combination of ``after`` that ``before`` has otherwise, or not at all."""
    lines = []
    for name, files in after.items():
        earlier = before.get(name)
        if earlier is None:
            lines.append(f"{name}: not in the earlier record")
        elif earlier != files:
            changed = sorted(n for n in earlier.keys() | files.keys() if earlier.get(n) != files.get(n))
            lines.append(f"{name}: {', '.join(changed)}")
    return lines


def main() -> int:
    """Record what all backends build, or compare it with an earlier record; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="where to write the record")
    parser.add_argument("before", type=Path, nargs="?", help="an earlier record to compare with")
    parser.add_argument("--only", default="", help="only backends or networks whose name contains this")
    parser.add_argument("--models", type=Path, default=MODELS, help="the folder of the networks")
    parser.add_argument("--recipe", action="append", help="recipes; default: as-is and int8")
    args = parser.parse_args()
    if not args.models.is_dir():
        print(f"there are no networks in {args.models}", file=sys.stderr)
        return 2
    before = json.loads(args.before.read_text()) if args.before else {}
    after = record(args.models, args.only, args.record, tuple(args.recipe or RECIPES), before)
    lines = differences(before, after) if args.before else []
    print("\n".join([*lines, f"{len(after)} combinations, {len(lines)} differ"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
