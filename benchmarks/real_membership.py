"""Attacks of `benchmarks.membership` on real logs: `python -m benchmarks.real_membership --data FOLDER`.

Only the most frequent items of each log are used, so that tables of all pairs fit in memory. Users are split into
three disjoint parts: the law is learned on worlds of the first part, thresholds are chosen on worlds of the second,
and the attackers are evaluated on worlds of the third. A world is all users of its part without about half of its
candidates; nobody is a candidate twice in a part. Intervals resample worlds, so they do not generalise to other pairs.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from benchmarks.membership import TARGET_OFFSET, World, judged_by, release
from benchmarks.privacy import EPSILONS, LEVELS, TRANSLATORS, ceiling, steps_of
from benchmarks.tables import aligned

from scalr.foundation.config import Steps

Logs = tuple[pa.Table, pa.Table]


def frequent(log: pa.Table, items: int, offset: int) -> pa.Table:
    """Return the events of the most frequent items, with items numbered from `offset`."""
    counts = log["item_id"].value_counts().flatten()
    order = np.lexsort((counts[0].to_numpy(), -counts[1].to_numpy()))[:items]
    code = pc.index_in(log["item_id"], counts[0].take(pa.array(order)))
    events = pa.table({"user": log["user_id"], "item": code, "time": log["timestamp"]})
    events = events.filter(pc.is_valid(events["item"]))
    return events.set_column(1, "item", pc.add(events["item"].cast(pa.int64()), offset))


def thirds(logs: Logs) -> list[Logs]:
    """Return the logs of three parts of the users with events in both; each part numbers its users from 0."""
    both = np.intersect1d(*(log["user"].to_numpy() for log in logs))
    size = len(both) // 3
    both = np.random.default_rng(0).permutation(both)[: 3 * size]
    parts = []
    for users in both.reshape(3, size):
        part = []
        for log in logs:
            code = pc.index_in(log["user"], pa.array(users))
            coded = log.set_column(0, "user", code.cast(pa.int64()))
            part.append(coded.filter(pc.is_valid(coded["user"])))
        parts.append((part[0], part[1]))
    return parts


def worlds_of(logs: Logs, steps: Steps, worlds: int, candidates: int, items: int) -> list[World]:
    """Release a number of worlds of the same users, each without about half of its own candidates."""
    users = 1 + max(int(pc.max(log["user"]).as_py()) for log in logs)
    tables: list[npt.NDArray[np.bool_]] = []
    for log, offset in zip(logs, (0, TARGET_OFFSET), strict=True):
        tables.append(np.zeros((users, items), np.bool_))
        tables[-1][log["user"].to_numpy(), log["item"].to_numpy() - offset] = True
    random = np.random.default_rng(1)
    chosen = random.permutation(users)[: worlds * candidates].reshape(worlds, candidates)
    released = []
    for seed, candidate in enumerate(chosen):
        is_in = np.ones(users, np.bool_)
        is_in[candidate] = random.random(candidates) < 0.5
        released.append(release(logs, tables[0], tables[1], is_in, candidate, steps.model_copy(update={"seed": seed})))
    return released


def _cells(figure: dict[str, float]) -> tuple[str, str]:
    """Return an advantage and its interval as text; a bound on any attack has none."""
    if "low" not in figure:
        return f"≤ {figure['value']:.3f}", ""
    return f"{figure['value']:.3f}", f"[{figure['low']:.3f}, {figure['high']:.3f}]"


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of source.parquet and target.parquet")
    parser.add_argument("--items", type=int, default=500, help="number of most frequent items of each log")
    parser.add_argument(
        "--worlds", type=int, default=20, help="number of worlds for the evaluation, and of shadow worlds"
    )
    parser.add_argument("--candidates", type=int, default=50, help="users of a world whose membership is attacked")
    parser.add_argument("--figures", type=Path, default=Path("benchmark-output/real-membership.json"))
    options = parser.parse_args()
    read = (pq.read_table(options.data / f"{name}.parquet") for name in ("source", "target"))
    source, target = (
        frequent(log, options.items, offset) for log, offset in zip(read, (0, TARGET_OFFSET), strict=True)
    )
    parts = thirds((source, target))
    users = 1 + max(int(pc.max(log["user"]).as_py()) for log in parts[0])
    if options.worlds * options.candidates > users:
        parser.error(f"{options.worlds} worlds of {options.candidates} candidates: a part has only {users} users")
    settings: list[tuple[str, int, float | None]] = [(name, k, None) for name in TRANSLATORS for k in LEVELS]
    settings += [("cooccurrence", 1, epsilon) for epsilon in EPSILONS if find_spec("opendp")]
    points = []
    for translator, k, epsilon in settings:
        steps, shape = steps_of(translator, k, epsilon=epsilon), (options.worlds, options.candidates, options.items)
        shadows, tuned, judged = (worlds_of(part, steps, *shape) for part in parts)
        attack = judged_by(shadows, judged, by_item=translator == "factor", tuned=tuned)
        if epsilon is not None:  # a bound on every attack, whatever the attacker knows
            attack["everyone"] = {"value": ceiling(steps)}
        points.append({"translator": translator, "k": k, "epsilon": epsilon, **attack})
        print(json.dumps(points[-1]), flush=True)
    options.figures.parent.mkdir(parents=True, exist_ok=True)
    facts = {"users_of_a_part": users, "events": [len(log) for part in parts for log in part]}
    options.figures.write_text(json.dumps({**facts, "points": points}, indent=2) + "\n")
    rows = [("", "", "the law", "95 %", "everyone else", "95 %", "rows", "below 3", "below 5")]
    for point in points:
        protection = f"k = {point['k']}" if point["epsilon"] is None else f"ε = {point['epsilon']:g}"
        cells = [cell for figure in (point["law"], point["everyone"]) for cell in _cells(figure)]
        shares = [f"{100 * point['share_below'].get(least, 0):.1f} %" for least in ("3", "5")]
        rows.append((point["translator"], protection, *cells, f"{point['rows']:,}", *shares))
    print(f"{users:,} users in each part; events of source and target: {facts['events']}")
    print(aligned(rows, left=1))


if __name__ == "__main__":
    main()
