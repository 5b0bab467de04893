"""The commands as functions, one module each; the command line and Python callers share them."""
