"""Versions of Python and libraries, and the machine, as a manifest records them."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

from scalr.foundation.version import __version__

_LIBRARIES = ("numpy", "numba", "pyarrow", "duckdb")  # their versions may affect the bytes of a result


def describe_environment() -> dict[str, Any]:
    """Return versions, platform and number of cores, ready for JSON."""
    return {
        "scalr": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }
