"""Loss of quality by fitting factors on a sample of users: `python -m benchmarks.fit_samples PAIR...`.

PAIR is a folder with `source.parquet` and `target.parquet`. `conditioned` and `factor` are fitted on the events before
the test period: on all pairs of user and source item, and on about a half, a quarter and a tenth of them. They are
evaluated as in `scalr study`. The table also has the distance of each law from that of the full fit: the total
variation of P(item | user), mean over users; and the distance of the law of popularity, for comparison.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import scalr
from scalr.foundation.arrays import Codes, Floats
from scalr.logs.event_log import has_events

FRACTIONS = (1.0, 0.5, 0.25, 0.1)
USERS = 200
TRANSLATORS = ("conditioned", "factor")
CUT = scalr.SplitSettings(hide_overlap=0.5)


def distinct_pairs(pair: scalr.Pair) -> int:
    """Return how many distinct (user, item) there are among the positive source events."""
    return int(pair.source.positives().starts_interaction().sum())


def laws(pair: scalr.Pair, settings: scalr.TranslateSettings, users: Codes) -> Floats:
    """Return P(item | user) of users, shape (users, target items)."""
    n_items = len(pair.target.items)
    item = np.tile(np.arange(n_items, dtype=np.int32), len(users))
    return scalr.fit(pair, settings=settings).probability(np.repeat(users, n_items), item).reshape(len(users), n_items)


def distance(law: Floats, reference: Floats) -> float:
    """Return the mean total variation between laws, over users with a positive probability in both."""
    both = (law.sum(axis=1) > 0) & (reference.sum(axis=1) > 0)
    law, reference = (rows[both] / rows[both].sum(axis=1, keepdims=True) for rows in (law, reference))
    return float(np.abs(law - reference).sum(axis=1).mean() / 2)


def table(name: str, fold: scalr.Fold) -> list[str]:
    """Return lines of a Markdown table for one pair."""
    pair, n_pairs = fold.pair, distinct_pairs(fold.pair)
    users = np.flatnonzero(has_events(pair.source.positives()) & has_events(pair.target)).astype(np.int32)
    users = np.sort(np.random.default_rng(1).permutation(users)[:USERS])
    popular = laws(pair, scalr.TranslateSettings(translator="popularity"), users)
    lines = []
    for translator in TRANSLATORS:
        whole = None
        for fraction in FRACTIONS:
            most = max(1000, int(n_pairs * fraction)) if fraction < 1 else n_pairs
            settings = scalr.TranslateSettings(translator=translator, fit_pairs=most)
            quality = scalr.translation_quality(fold, settings, translators=[translator, "popularity"])
            result, law = quality[translator].segments["all"], laws(pair, settings, users)
            whole = law if whole is None else whole
            gain = result.mixed_gain
            assert gain is not None
            low, high = gain.interval
            lines.append(
                f"| {name} | {translator} | {most:,} | {result.perplexity.value:,.0f} | "
                f"{gain.value:+.4f} [{low:+.4f}, {high:+.4f}] | {distance(law, whole):.3f} | "
                f"{distance(popular, whole):.3f} |"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", nargs="*", type=Path, metavar="PAIR")
    parser.add_argument(
        "--simulated", type=int, nargs="*", default=(), metavar="USERS", help="users of additional simulated worlds"
    )
    parser.add_argument("--time", metavar="COLUMN", help="name of the time column, if it has no common name")
    options = parser.parse_args(arguments)
    print(
        "| pair | translator | pairs, about | perplexity | gain of a tenth | from the full fit | popularity from it |"
    )
    print("|---|---|---|---|---|---|---|")
    for folder in options.pairs:
        columns = scalr.Columns(time=options.time)
        pair = scalr.read_pair(folder / "source.parquet", folder / "target.parquet", columns=columns)
        print("\n".join(table(folder.name, scalr.split(pair, CUT).test)), flush=True)
    for n_users in options.simulated:
        pair = scalr.simulate(n_users=n_users, n_source_items=5000, n_target_items=2000, n_groups=32, seed=1).pair
        print("\n".join(table(f"simulated, {n_users:,} users", scalr.split(pair, CUT).test)), flush=True)


if __name__ == "__main__":
    main()
