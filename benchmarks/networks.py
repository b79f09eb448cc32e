"""Time the training loop of networks against their bare modules: `python -m benchmarks.networks`.

Prints JSON: positives per processor second of `scalr.evaluation.models.deep` on rows in memory (mixed rows,
negatives, histories, adapter); positives per processor second of the same module with forward, backward and Adam on
one batch in memory; the ratio of the two; the seconds until the first batch. Requires the extra `torch`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scalr.evaluation.models.deep import HISTORY, NETWORKS
from scalr.evaluation.models.deep.entities import Entities
from scalr.evaluation.models.deep.histories import Histories
from scalr.evaluation.models.deep.rows import batches, rows_in_memory
from scalr.evaluation.models.protocol import Examples
from scalr.foundation.config import TrainSettings

LEAST_SECONDS = 3.0  # smallest timed processor time of each
WARM_UP = 3  # turns


def examples_of_size(n_users: int, n_items: int, n_rows: int) -> Examples:
    """Return uniform rows, half of them synthetic with weight 0.5."""
    random, half = np.random.default_rng(0), n_rows // 2
    is_synthetic = np.arange(n_rows) >= half
    return Examples(
        user=random.integers(0, n_users, n_rows).astype(np.int32),
        item=random.integers(0, n_items, n_rows).astype(np.int32),
        weight=np.where(is_synthetic, 0.5, 1.0).astype(np.float32),
        is_synthetic=is_synthetic,
        n_first=half,
        catalogue=np.arange(n_items, dtype=np.int32),
        user_keys=np.arange(n_users, dtype=np.uint64),
        item_keys=np.arange(n_items, dtype=np.uint64),
        fitted_until=None,
        fitted_on=0,
        time=random.integers(0, 1 << 40, n_rows),
    )


def per_second(steps: Sequence[Callable[[], int]], least: float = LEAST_SECONDS) -> list[float]:
    """Return the rate of each step per processor second; steps alternate, and the first three turns do not count."""
    done, seconds = [0] * len(steps), [0.0] * len(steps)
    for turn in itertools.count():
        for x, step in enumerate(steps):
            start = time.process_time()
            amount = step()
            if turn >= WARM_UP:
                done[x] += amount
                seconds[x] += time.process_time() - start
        if min(seconds) > least:
            return [amount / spent for amount, spent in zip(done, seconds, strict=True)]
    raise AssertionError


def speeds(name: str, examples: Examples, batch_size: int, least: float = LEAST_SECONDS) -> dict[str, float]:
    """Return positives per processor second of our loop and of the bare module."""
    began = time.perf_counter()
    import torch
    from torch.nn import functional

    from scalr.evaluation.models.deep.learner import Learner, is_averaged

    settings, network = TrainSettings(model=name, batch_size=batch_size), NETWORKS[name]
    histories = Histories.from_examples(examples, HISTORY, 0) if network.reads_history else None
    entities, sources = Entities.from_examples(examples, histories), rows_in_memory(examples, 0)
    prior = np.zeros((2, entities.n_items), np.float32)
    learner = Learner.begin(name, entities, prior, settings, (network.learning_rate, network.l2), 0)
    learner.network.train()
    endless = itertools.chain.from_iterable(batches(sources, epoch, batch_size)[1] for epoch in itertools.count())
    rows = next(endless)
    started = time.perf_counter() - began
    n_batches = batches(sources, 0, batch_size)[0]
    places = itertools.cycle(range(n_batches))

    def ours() -> int:
        batch = next(endless)
        learner.step(batch, 0, 1 / n_batches)
        if is_averaged(next(places), n_batches):
            learner.remember()
        return len(batch)

    items = learner.negatives.items(rows, 0)
    user, item = torch.from_numpy(rows.user.astype(np.int64)), torch.from_numpy(items.astype(np.int64))
    history = None if histories is None else torch.from_numpy(histories.ahead_of(rows.number, rows.user))
    label = torch.zeros(item.shape)
    label[:, 0] = 1
    bare = Learner.begin(name, entities, prior, settings, (network.learning_rate, network.l2), 0).network.train()
    adam = torch.optim.Adam(bare.parameters(), lr=1e-3, fused=True)

    def alone() -> int:
        adam.zero_grad()
        functional.binary_cross_entropy_with_logits(bare(user, item, history), label).backward()
        adam.step()
        return len(rows)

    rates = dict(zip(("bare", "ours"), per_second((alone, ours), least), strict=True))
    return {**rates, "share": rates["ours"] / rates["bare"], "start_seconds": started}


def main() -> None:
    """Measure every network and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--batch-size", type=int, default=TrainSettings().batch_size)
    parser.add_argument("--only", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    options = parser.parse_args()
    examples = examples_of_size(options.users, options.items, options.rows)
    figures: dict[str, Any] = {name: speeds(name, examples, options.batch_size) for name in options.only}
    print(json.dumps({"batch_size": options.batch_size, "positives_per_cpu_second": figures}, indent=2))


if __name__ == "__main__":
    main()
