"""Which schedules a tuning database may hold: what MetaSchedule's rules for processors write, and nothing else.

A trace is TVM's JSON, ``[instructions, decisions]``, an instruction ``[kind, inputs, attributes, outputs]``. Some
annotations are programs: ``pragma_import_llvm`` and ``pragma_import_c`` link their value into the object file.
So kinds, annotation keys and their values are listed here. Imports no TVM.
"""

from __future__ import annotations

import json
import re
from typing import Any

MOST_BYTES = 1 << 20
MOST_INSTRUCTIONS = 2000
_KINDS = frozenset((
    "Annotate", "Blockize", "CacheWrite", "ComputeAt", "DecomposeReduction", "EnterPostproc", "Fuse", "GetChildBlocks",
    "GetConsumers", "GetLoops", "GetSBlock", "Reorder", "ReverseComputeAt", "SampleCategorical",
    "SampleComputeLocation", "SamplePerfectTile", "Split", "Tensorize", "Unannotate", "Vectorize",
))  # fmt: skip
_NUMBER, _TEXT = r"v\d{1,5}|\d{1,5}", r'"(SSRSRS|edgekit_[a-z0-9]{1,10}_\d{1,3})?"'
_ANNOTATIONS = {
    "meta_schedule.auto_tensorize": _TEXT,
    "meta_schedule.auto_tensorize_init": _TEXT,
    "meta_schedule.tiling_structure": _TEXT,
    "meta_schedule.unroll_explicit": _NUMBER,
    "meta_schedule.vectorize": _NUMBER,
    "pragma_auto_unroll_max_step": _NUMBER,
    "pragma_unroll_explicit": _NUMBER,
}
"""Pattern of the value by key: a number, the name of an earlier choice among numbers, or a known name in quotes."""
_NAME = re.compile(r"[A-Za-z0-9_.]{0,100}")
_INPUT = re.compile(r'[A-Za-z0-9_.]{0,100}|"[A-Za-z0-9_.]{0,100}"')


class Refused(ValueError):
    """A trace that tuning does not write; the message says what is in it."""


class NotATrace(ValueError):
    """Damaged: nothing that could be applied."""


def checked(trace: str) -> Any:
    """Return the trace's JSON.

    :raises Refused: if it holds an instruction, annotation or value that tuning does not write.
    :raises NotATrace: if it is damaged.
    """
    if len(trace) > MOST_BYTES:
        raise Refused(f"over {MOST_BYTES} bytes")
    try:
        found = json.loads(trace)
        instructions, _ = found
        for kind, inputs, attributes, _ in instructions:
            _check(kind, inputs, attributes)
    except Refused:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise NotATrace("not a trace") from error
    if len(instructions) > MOST_INSTRUCTIONS or not _plain(found, 6):
        raise Refused("objects, long texts or too many instructions")
    return found


def _check(kind: Any, inputs: list[Any], attributes: list[Any]) -> None:
    if kind not in _KINDS:
        raise Refused(f"the instruction {str(kind)[:40]!r}")
    if kind in ("Annotate", "Unannotate"):
        (key,) = attributes
        if key not in _ANNOTATIONS:
            raise Refused(f"the annotation {str(key)[:40]!r}")
        _, *values = inputs
        if len(values) != (kind == "Annotate") or any(
            not isinstance(value, int | str) or not re.fullmatch(_ANNOTATIONS[key], str(value)) for value in values
        ):
            raise Refused(f"the annotation {key!r} with another value than tuning's")
    if kind == "Tensorize" and not re.fullmatch(_TEXT, f'"{attributes[0]}"'):
        raise Refused(f"the tensor intrinsic {str(attributes[0])[:40]!r}")
    if kind == "CacheWrite" and attributes[1] not in ("global", "local"):
        raise Refused(f"the storage {str(attributes[1])[:40]!r}")
    if any(isinstance(one, str) and not _NAME.fullmatch(one) for one in attributes):
        raise Refused(f"a strange name in {kind}")
    if any(isinstance(one, str) and not _INPUT.fullmatch(one) for one in inputs):
        raise Refused(f"a strange input of {kind}")


def _plain(value: Any, depth: int) -> bool:
    """Whether it is lists of numbers and short names only, no objects."""
    if isinstance(value, list):
        return depth > 0 and all(_plain(one, depth - 1) for one in value)
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 102)
