"""Compiled loops of the translators: paths, laws and choices among items, over integer codes."""

from __future__ import annotations

import os
from pathlib import Path

_SAMPLE = "uniform_paths"  # compiled by every run that draws


def are_compiled() -> bool:
    """Say whether the loops were compiled before on this machine, as far as their cache tells.

    Numba keeps one index per function beside its file, or under `NUMBA_CACHE_DIR`; older ones than the file are stale.
    """
    here = Path(__file__).parent
    source = (here / f"{_SAMPLE}.py").stat().st_mtime
    given = os.environ.get("NUMBA_CACHE_DIR")
    folders = [Path(given)] if given else [here / "__pycache__", Path.home() / ".cache" / "numba"]
    found = (file for folder in folders if folder.is_dir() for file in folder.rglob(f"{_SAMPLE}.*.nbi"))
    return any(file.stat().st_mtime >= source for file in found)
