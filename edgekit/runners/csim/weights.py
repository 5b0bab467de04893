"""Whether a simulation of an hls4ml project has the weights that are synthesized.

hls4ml writes each array twice: as text, which a simulation loads, and as a header, which synthesis compiles. Both, and
the lines that load them, must have hls4ml's form to the byte, or a header could hold one array for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from edgekit.backends.divided.document import AGAIN
from edgekit.backends.hls4ml.document import PROJECT, TOP
from edgekit.errors import DeviceError

_HEADER = re.compile(
    rb"(?://[^\n\\]*\n)+\n#ifndef (\w+)_H_\n#define \1_H_\n\n#ifndef __SYNTHESIS__\n(\w+) (\w+)\[(\d+)\];\n"
    rb"#else\n\2 \3\[\4\] = \{([-\d, ]*)\};\n\n#endif\n\n#endif\n"
)
_LOADED = re.compile(rb'        nnet::load_weights_from_txt<\w+, (\d+)>\((\w+), "(\w+)\.txt"\);\n')
_LOADER = re.compile(
    rb"#ifndef __SYNTHESIS__\n    static bool loaded_weights = false;\n    if \(!loaded_weights\) \{\n"
    rb"((?:" + _LOADED.pattern.replace(rb"(\d+)", rb"\d+").replace(rb"(\w+)", rb"\w+") + rb")*)"
    rb"        loaded_weights = true;    \}\n#endif\n"
)
_OURS = (f"{TOP}.cpp", f"{TOP}.h", "defines.h", "parameters.h", "nnet_code_gen.h", "edgekit_integers.h")
"""Files that are made for a network, which tell simulation and synthesis apart nowhere else."""


def check(sources: Mapping[str, bytes], texts: Mapping[str, bytes], place: str) -> None:
    """Refuse a project of which a simulation tells nothing.

    :param sources: by their paths in the project. :param texts: of weights, by their names, which lie at ``place``.
    :raises DeviceError: if weights differ between simulation and synthesis.
    """
    headers = {name.removeprefix(place): data for name, data in sources.items() if name.startswith(place)}
    loaded: dict[str, int] = {}
    for name, data in sources.items():
        if name.startswith(place) or (path := PurePosixPath(name)).name not in _OURS:
            continue
        if path.name == f"{TOP}.cpp" and (found := _LOADER.search(data)):
            lines = _LOADED.findall(found[1])
            loaded = {text.decode(): int(count) for count, array, text in lines if array == text}
            data = data[: found.start()] + data[found.end() :]
        if b"SYNTHESIS" in data:
            raise DeviceError(f"artifact/{PROJECT}/{name} is another program when it is synthesized", AGAIN)
    for name in sorted(
        {*headers, *(f"{PurePosixPath(text).stem}.h" for text in texts), *(f"{one}.h" for one in loaded)}
    ):
        stem = PurePosixPath(name).stem
        array = _HEADER.fullmatch(headers.get(name, b""))
        text = texts.get(f"{stem}.txt")
        if array is None or array[3] != stem.encode() or array[5] != text or loaded.get(stem) != int(array[4]):
            raise DeviceError(
                f"artifact/{PROJECT}/{place}{stem}.txt has not the weights of the header beside it", AGAIN
            )
