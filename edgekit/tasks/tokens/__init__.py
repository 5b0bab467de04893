"""Tokens: from a text to the numbers that a network of language takes; docs/tasks.md tells which tokenizers there are.

``firmware_stubs/linux`` has the same in C, with the same numbers.
"""

from __future__ import annotations
