"""Versions of Python, libraries and machine that a result was made with."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from scalr.foundation.version import __version__

_LIBRARIES = ("numpy", "numba", "pyarrow", "duckdb")  # whose versions may decide on the bytes of a result


def describe_environment() -> dict[str, Any]:
    """Return what the results were made with."""
    return {
        "scalr": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }
