"""Lock this process down, then become the program named on the command line (see ``run_program``)."""

import importlib.util
import json
import os
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("lockdown", Path(__file__).with_name("lockdown.py"))
assert spec and spec.loader
lockdown = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lockdown)
settings = json.loads(sys.argv[1])
lockdown.lock(settings["writable"], allow_exec=True, **settings["limits"])
os.execvp(sys.argv[2], sys.argv[2:])
