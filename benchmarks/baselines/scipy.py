"""SciPy: the counts are SᵀT of two user-item matrices; NumPy draws from them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.baselines import matrices
from scipy import sparse


def generate(source: Path, target: Path, out: Path, draws: int, seed: int) -> None:
    """Write `draws` synthetic events for every source event whose item has a count."""
    matrices.generate(source, target, out, draws, seed, _counts)


def _counts(logs: matrices.Logs) -> sparse.csr_matrix:
    return sparse.csr_matrix(logs.source.T.tocsr() @ logs.target)
