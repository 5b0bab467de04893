"""edgekit: from a trained model to proven, profiled artifacts on every edge target you own.

The public API offers the commands of the command line as functions::

    import edgekit

    bundle = edgekit.compile("model.tflite", targets=["rpi4"])[0]
    print(edgekit.verify(bundle.path).ok)
    print(edgekit.profile(bundle.path, on="emulator").latency_ms)

Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["compare", "compile", "compress", "diagnose", "inspect", "load", "profile", "run", "tune", "verify"]

if TYPE_CHECKING:
    from edgekit.api.compare import compare
    from edgekit.api.compile import compile
    from edgekit.api.compress import compress
    from edgekit.api.diagnose import diagnose
    from edgekit.api.inspect import inspect
    from edgekit.api.load import load
    from edgekit.api.profile import profile
    from edgekit.api.run import run
    from edgekit.api.tune import tune
    from edgekit.api.verify import verify


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(f"edgekit.api.{name}"), name)
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
