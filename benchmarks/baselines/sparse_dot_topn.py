"""sparse_dot_topn: only the largest counts of every source item in SᵀT; NumPy draws from them.

Other items are never drawn, so the distribution differs: the lost probability is printed. Confidence and support of
the drawn items are exact.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import sparse_dot_topn
from benchmarks.baselines import matrices
from scipy import sparse

TOP = 100


def generate(source: Path, target: Path, out: Path, draws: int, seed: int, top: int = TOP) -> None:
    """Write `draws` synthetic events for every source event whose item has a count; print the lost probability."""
    matrices.generate(source, target, out, draws, seed, lambda logs: _counts(logs, top))


def _counts(logs: matrices.Logs, top: int) -> sparse.csr_matrix:
    counts = sparse_dot_topn.sp_matmul_topn(
        logs.source.T.tocsr(), logs.target, top_n=top, n_threads=os.cpu_count() or 1
    )
    whole = logs.source.T @ np.diff(logs.target.indptr)
    retained = np.asarray(counts.sum(axis=1)).ravel()
    events = np.bincount(logs.item, minlength=len(whole))
    lost = np.sum(events * (1 - retained / np.maximum(whole, 1)), where=whole > 0) / np.sum(events, where=whole > 0)
    print(json.dumps({"top": top, "lost_probability": round(float(lost), 4)}))
    return sparse.csr_matrix(counts)
