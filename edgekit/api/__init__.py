"""One module a verb; the command line and Python callers share them."""
