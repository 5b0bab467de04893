"""Entry point of ``python -m edgekit``."""

import os
import sys

if sys.path and not sys.flags.safe_path and os.path.realpath(sys.path[0] or ".") == os.path.realpath("."):
    del sys.path[0]  # the current folder, which may hold a stranger's numpy.py; edgekit itself is imported already

from edgekit.cli import main

main()
