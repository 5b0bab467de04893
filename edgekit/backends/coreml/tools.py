"""coremltools without what it would drag in, for sandbox children.

coremltools imports TensorFlow, PyTorch and others where they are installed (seconds, and a GB), only to convert their
models, and says on Linux, line by line, that Core ML itself is not there. Neither is wanted.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

PRELOAD = (__name__,)
"""What children import before they fork."""

_UNWANTED = ("tensorflow", "torch", "sklearn", "xgboost", "libsvm", "scipy")


def _load() -> tuple[Any, Any, Any]:
    for name in _UNWANTED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    logging.getLogger("coremltools").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import types

    return coremltools, Builder, types


ct, mb, types = _load()
