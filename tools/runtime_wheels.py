"""Write the wheels of edgekit-runtime for x86_64 and aarch64 to dist/."""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit.delivery import contents, wheel
from edgekit.errors import EdgekitError


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    folder.mkdir(parents=True, exist_ok=True)
    for arch in ("x86_64", "aarch64"):
        try:
            name, content = wheel.runtime_wheel(contents.runtime(arch))
        except EdgekitError as error:
            sys.exit(f"error: {error.message}\n       {error.hint}")
        (folder / name).write_bytes(content)
        print(folder / name)


if __name__ == "__main__":
    main()
