"""Pool studies of one pair of logs over all of their seeds, per model, as a table of docs/evidence.md.

    python -m benchmarks.replications STUDY...

Each STUDY is the output folder of `scalr study`. The seeds of all studies of a model are pooled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.evidence import NE, Study, change, model_of, read_studies, table, written

from scalr.evaluation.folds import WARM_AND_COLD
from scalr.evaluation.metrics.comparison import paired_relative_change
from scalr.foundation.arrays import Floats

SEGMENTS = ("all", *WARM_AND_COLD)


def per_seed(studies: Sequence[Study], arm: str, segment: str) -> Floats:
    """Return the normalized entropy of each seed of all studies."""
    return np.concatenate([study["segments"][segment][arm][NE]["per_seed"] for study in studies])


def together(studies: Iterable[Study]) -> str:
    """Return a row per model: the change in each study, and the change over the seeds of all studies."""
    of_model: dict[str, list[Study]] = {}
    for study in studies:
        of_model.setdefault(model_of(study), []).append(study)
    rows = []
    for model, replicas in of_model.items():
        row = [f"`{model}`", "; ".join(change(study, "scalr") for study in replicas)]
        for segment in SEGMENTS:
            arm, baseline = (per_seed(replicas, name, segment) for name in ("scalr", "real_only"))
            pooled = paired_relative_change(arm, baseline)
            row.append(f"{written(pooled.relative_change, pooled.interval)} ({int((arm < baseline).sum())})")
        rows.append(row)
    head = ["model", "each study", *(f"{segment}, all seeds (seeds that gain)" for segment in SEGMENTS)]
    return table(head, rows)


if __name__ == "__main__":
    reference, others = read_studies(map(Path, sys.argv[1:]))
    print(together([*reference.values(), *others.values()]))
