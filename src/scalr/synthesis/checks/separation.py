"""AUC of a score with an interval that accounts for the correlation among rows of one user."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from scalr.foundation import Floats, Int64

NORMAL_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Separation:
    """An area under the ROC curve with its 95 % interval, each in [0, 1]; 0.5 is chance."""

    auc: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """Return the numbers to four decimals."""
        return {name: round(getattr(self, name), 4) for name in ("auc", "low", "high")}


def clustered_auc(is_one: npt.NDArray[np.bool_], score: Floats, cluster: Int64) -> Separation:
    """Return P(a row of the first kind scores above a row of the other kind), ties counting half.

    The variance is that of sums over clusters, because rows of one user are not independent.

    Args:
        is_one: Shape (n,), whether a row is of the first kind; both kinds must be present.
        score: Shape (n,).
        cluster: Shape (n,), the user of each row, from 0.

    References:
        Obuchowski 1997, Nonparametric Analysis of Clustered ROC Curve Data, Biometrics 53.
    """
    kinds = is_one, ~is_one
    ordered = [np.sort(score[kind]) for kind in kinds]
    n_clusters = int(cluster.max()) + 1
    sums, sizes, means = [], [], []
    for kind, other, sign in zip(kinds, reversed(ordered), (1.0, -1.0), strict=True):
        below, up_to = (np.searchsorted(other, score[kind], side) for side in ("left", "right"))
        share = (below + up_to) / 2 / len(other)
        placed = share if sign > 0 else 1.0 - share
        means.append(float(placed.mean()))
        sums.append(np.bincount(cluster[kind], placed, n_clusters))
        sizes.append(np.bincount(cluster[kind], minlength=n_clusters))
    auc, n_present = means[0], int((sizes[0] + sizes[1] > 0).sum())
    parts = [(total - size * auc) / size.sum() for total, size in zip(sums, sizes, strict=True)]
    spread = np.sqrt(float(((parts[0] + parts[1]) ** 2).sum()) * n_present / max(n_present - 1, 1))
    half = NORMAL_95 * float(spread)
    return Separation(auc, max(auc - half, 0.0), min(auc + half, 1.0))
