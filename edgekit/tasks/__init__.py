"""What a network is for: from a picture to its input, from its output to a decision.

``task.toml`` beside a model says it (docs/tasks.md), a bundle's manifest keeps it, and ``firmware_stubs/linux`` does
the same in C, with the same bits.
"""

from __future__ import annotations
