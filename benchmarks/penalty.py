"""Show what the penalty of synthetic rows decides, on the validation period: `python -m benchmarks.penalty PAIR ...`.

A pair is a folder with `source.parquet` and `target.parquet`, or `simulated`. For every pair and setting one row: the
relative change of normalized entropy against real events only, mean of two seeds, half of the overlap users hidden. The
same pairs stop the training, so these figures choose settings; they are no evidence of a gain.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from scalr.config import SplitSettings, Steps
from scalr.domain import Pair
from scalr.reading import read_pair
from scalr.schema import Columns
from scalr.simulate import simulate
from scalr.split import split
from scalr.study import synthesise
from scalr.train import choose_popularity_prior, train

SETTINGS: tuple[tuple[float, float | None], ...] = ((1, None), (0.5, 4), (0.3, 4), (0.2, 4), (0.1, 4), (0, 4))
"""Shares of the penalty, and κ."""
SEEDS = 2


def read(name: str) -> Pair:
    """Read a folder's logs; `position` orders them where there is no timestamp."""
    if name == "simulated":
        return simulate(n_users=1500, events_per_user=(30, 6), seed=1).pair
    source, target = Path(name) / "source.parquet", Path(name) / "target.parquet"
    found = read_pair(source, target, columns=Columns(time=""))
    names = [] if found.target.schema is None else found.target.schema.names
    return read_pair(source, target, columns=Columns(time="position" if "position" in names else None))


def changes(pair: Pair) -> list[float]:
    """Return the mean relative change for every setting."""
    steps, per_seed = Steps(), []
    for seed in range(SEEDS):
        fold = split(pair, SplitSettings(hide_overlap=0.5), seed).validation
        settings = choose_popularity_prior(fold, steps.train, seed)
        baseline = min(train(fold, None, settings, seed).validation_losses)
        events = synthesise(fold.pair, steps, seed)["scalr"]
        tried = [settings.model_copy(update={"synthetic_penalty": s, "shrinkage": k}) for s, k in SETTINGS]
        per_seed.append([min(train(fold, events, one, seed).validation_losses) / baseline - 1 for one in tried])
    return [float(mean) for mean in np.mean(per_seed, axis=0)]


if __name__ == "__main__":
    print("share, kappa:", *(f"{share:g}, {kappa or 'none'}" for share, kappa in SETTINGS), sep="\t")
    for name in sys.argv[1:]:
        print(Path(name).name, *(f"{100 * change:+.1f} %" for change in changes(read(name))), sep="\t", flush=True)
