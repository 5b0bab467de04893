"""Run ``python -I start.py FOLDERS MODULE ARGUMENTS...``: a module that may lie in one of the FOLDERS.

An isolated Python knows neither the current folder nor ``PYTHONPATH``; the FOLDERS, divided as in ``PATH``, come after
what it does know, so that nothing in them takes the place of a module of Python's own.
"""

import os
import runpy
import sys

folders, module = sys.argv[1:3]
sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
sys.path += [path for path in folders.split(os.pathsep) if path and path not in sys.path]
sys.argv[:] = sys.argv[2:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
