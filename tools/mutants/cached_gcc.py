"""Stand in for gcc: what is compiled from several C files at once is linked of objects that are kept.

    python cached_gcc.py GCC FOLDER ARGUMENTS...

An object is compiled again when its C file, a header beside it or in a folder of ``-I``, or an option has changed. A
fault in one file then costs the compilation of that file. All other calls are passed on as they are.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path


def kept(gcc: str, folder: Path, options: list[str], source: Path, here: Path = Path()) -> Path:
    """Return the object of a C file, compiled if it is not yet in ``folder``.

    :param here: where relative names begin.
    """
    places = [here / source.parent, *(here / option[2:] for option in options if option.startswith("-I"))]
    headers = [header for place in places for header in sorted(place.glob("*.h"))]
    key = hashlib.sha256(repr((gcc, options, source.name)).encode())
    for file in (here / source, *headers):
        key.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    made = folder / f"{key.hexdigest()}.o"
    if not made.exists():
        scratch = made.with_suffix(f".{os.getpid()}.o")
        subprocess.run([gcc, *options, "-c", str(source), "-o", str(scratch)], cwd=here, check=True)
        os.replace(scratch, made)
    return made


def main() -> int:
    """Compile and link; return gcc's exit code."""
    gcc, folder, *arguments = sys.argv[1:]
    sources = [argument for argument in arguments if argument.endswith(".c")]
    if len(sources) < 2 or "-c" in arguments or "-o" not in arguments:
        os.execv(gcc, [gcc, *arguments])
    place = arguments.index("-o")
    output, options = arguments[place : place + 2], arguments[:place] + arguments[place + 2 :]
    options = [option for option in options if option not in sources]
    try:
        objects = [str(kept(gcc, Path(folder), options, Path(source))) for source in sources]
    except subprocess.CalledProcessError as error:
        return error.returncode
    return subprocess.run([gcc, *objects, *options, *output], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
