"""Rules: operators of one family -> typed kernels.

A rule adds the kernels of one operator to a :class:`~edgekit.codegen.builder.Builder`. Beside it stands what it does
not cover: a function that returns the reason, or an empty string. :mod:`edgekit.codegen.lower` has the table.
"""
