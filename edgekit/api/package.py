"""Hand a bundle over: with the runtime library, as a CMake package, Python wheels or Debian packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import bundle as bundles
from edgekit.api.output import output
from edgekit.backends.runner_build import native_arch
from edgekit.delivery import Format, cmake, contents, deb, wheel
from edgekit.delivery.archives import Entry
from edgekit.errors import UsageError
from edgekit.files import temporary
from edgekit.progress import Progress, Silent
from edgekit.text.system import explained


@dataclass(frozen=True)
class Packaged:
    """What was written: files, or for CMake a folder."""

    format: Format
    name: str
    paths: list[Path]

    def json(self) -> dict[str, Any]:
        """Return the document of ``edgekit package --json``."""
        return {"schema": 1, "format": str(self.format), "name": self.name, "paths": [str(path) for path in self.paths]}


def package(path: str | Path, *, format: str, out: str | Path = "dist", progress: Progress = Silent()) -> Packaged:
    """Write a bundle, with the runtime library for its architecture, in the form that a packaging system takes.

    :param format: ``cmake``: a folder; ``wheel``: ``edgekit-runtime`` and a wheel with the bundle; ``deb``:
        ``libedgekit1`` and a package with the bundle.
    :raises UsageError: if the runtime library does not run the bundle; :raises ToolMissing: if there is no compiler.
    """
    form = Format(format)
    with bundles.opened(Path(path)) as bundle, output(Path(out)) as folder:
        network = contents.network(bundle)
        progress.step("build the runtime library")
        runtime = contents.runtime(native_arch(bundle.target.arch))
        progress.step(f"write {form}")
        try:
            if form is Format.CMAKE:
                return Packaged(form, network.name, [_folder(folder / network.name, cmake.tree(network, runtime))])
            made = {
                Format.WHEEL: lambda: (wheel.runtime_wheel(runtime), wheel.network_wheel(network, runtime)),
                Format.DEB: lambda: (deb.library_package(runtime), deb.network_package(network, runtime)),
            }[form]()
            for name, content in made:
                with temporary.replacing(folder / name) as file:
                    file.write_bytes(content)
        except OSError as error:
            raise explained(error, folder, "--out") from error
    return Packaged(form, network.name, [folder / name for name, _ in made])


def _folder(final: Path, entries: dict[str, Entry]) -> Path:
    """Write a tree, in place of an older one of the same kind."""
    if final.exists() and not (final / "lib" / "cmake" / "edgekit").is_dir():
        raise UsageError(f"{final} exists and is not a package of edgekit", "choose another --out")
    with temporary.folder(final.parent) as place:
        root = place / "tree"
        for name, entry in entries.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.content)
            path.chmod(0o755 if entry.program else 0o644)
        root.chmod(0o755)
        temporary.swap(root, final, place)
    return final
