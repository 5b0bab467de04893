"""A CMake package: a folder for ``CMAKE_PREFIX_PATH``, with an example that uses it."""

from __future__ import annotations

from edgekit.delivery.archives import Entry
from edgekit.delivery.contents import Network, Runtime, template
from edgekit.text.templates import filled


def config(runtime: Runtime, folder: str, up: str) -> dict[str, Entry]:
    """The files that ``find_package(edgekit)`` reads.

    :param folder: where they lie, in the ``cmake`` folder beside the library. :param up: from there to the prefix.
    """
    values = {"version": runtime.version, "major": runtime.version.partition(".")[0], "up": up}
    names = ("edgekit-config.cmake", "edgekit-config-version.cmake")
    return {f"{folder}/{name}": Entry(filled(template(f"{name}.in"), values).encode()) for name in names}


def tree(network: Network, runtime: Runtime) -> dict[str, Entry]:
    """All files of the package."""
    values = {"name": network.name, "title": network.title, "target": network.target, "version": runtime.version}
    made = {f"lib/edgekit/{network.name}/{name}": Entry(content, name in network.programs)
            for name, content in network.files.items()}  # fmt: skip
    made |= {f"include/{name}": Entry(content) for name, content in runtime.headers.items()}
    made |= config(runtime, "lib/cmake/edgekit", "../../..")
    for name in ("CMakeLists.txt", "README.md"):
        made[name] = Entry(filled(template(f"{name}.in"), values).encode())
    return made | {
        "lib/libedgekit.so.1": Entry(runtime.library), "examples/classify.c": Entry(template("classify.c").encode()),
    }  # fmt: skip
