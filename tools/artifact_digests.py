"""Record what every backend makes of a fixed set of networks, or compare it with an earlier record.

    python tools/artifact_digests.py before.json              # record: every backend, network and recipe
    python tools/artifact_digests.py after.json before.json   # record, then list what differs; exit 1 if anything does
    python tools/artifact_digests.py --only tvm after.json before.json     # only backends or networks of this name

For refactoring: an artifact has to stay the same byte for byte, wherever the code that makes it goes. The record holds
the SHA-256 of each file of the artifact and of ``model.tflite``; a combination that is refused is recorded with the
class of the error. The networks are those of ``../shared/models``. No tuning database is used.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgekit import plugins, target
from edgekit.api.compile import compile as compile_model
from edgekit.errors import EdgekitError

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
RECIPES = ("as-is", "int8")
SUFFIXES = (".tflite", ".onnx", ".h5")


def combinations(only: str) -> Iterator[tuple[Path, str, str, str]]:
    """Yield model, recipe, backend and target: for each backend the first of the targets that it serves."""
    boards = {name: target.load(name) for name in sorted(target.names())}
    models = sorted(path for path in MODELS.rglob("*") if path.suffix in SUFFIXES)
    for backend in sorted(plugins.names("backends")):
        board = next((name for name, one in boards.items() if backend in one.backends), None)
        if board is None:
            continue
        for model in models:
            if only in backend or only in model.name:
                yield from ((model, recipe, backend, board) for recipe in RECIPES)


def digests(model: Path, recipe: str, backend: str, board: str) -> dict[str, str]:
    """Compile once; return the SHA-256 of each file, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            (made,) = compile_model(
                model, targets=[board], recipe=recipe, data="random", backend=backend, out=folder, database=None
            )
        except EdgekitError as error:
            return {"refused": type(error).__name__}
        files = made.manifest["files"].items()
        return {name: one["sha256"] for name, one in files if name.startswith(("artifact/", "model.tflite"))}


def differences(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> list[str]:
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="where to write the record")
    parser.add_argument("before", type=Path, nargs="?", help="an earlier record to compare with")
    parser.add_argument("--only", default="", help="only backends or networks whose name contains this")
    args = parser.parse_args()
    if not MODELS.is_dir():
        print(f"there are no networks in {MODELS}", file=sys.stderr)
        return 2
    before = json.loads(args.before.read_text()) if args.before else None
    found: dict[str, dict[str, str]] = {}
    for model, recipe, backend, board in combinations(args.only):
        name = f"{backend} on {board}: {model.relative_to(MODELS)}, {recipe}"
        found[name] = digests(model, recipe, backend, board)
        print(name, found[name].get("refused", ""), flush=True)
        args.record.write_text(json.dumps(found, indent=1) + "\n")
    lines = differences(before, found) if before is not None else []
    print("\n".join([*lines, f"{len(found)} combinations, {len(lines)} differ"]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
