"""Attacks of `benchmarks.membership` on real logs: `python -m benchmarks.real_membership --data FOLDER`.

Only the most frequent items of each log are kept, so that tables of all pairs fit in memory. Users are split in
three parts that share nobody: the law is learnt on worlds of the first, thresholds are chosen on worlds of the second,
and the attackers judged on worlds of the third. A world is all users of its part, less about half of its candidates;
nobody is a candidate twice in a part. Intervals resample worlds, so they say nothing of other pairs.
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
    """Return the events of the most frequent items, with these numbered from `offset`."""
    counts = log["item_id"].value_counts().flatten()
    order = np.lexsort((counts[0].to_numpy(), -counts[1].to_numpy()))[:items]
    code = pc.index_in(log["item_id"], counts[0].take(pa.array(order)))
    made = pa.table({"user": log["user_id"], "item": code, "time": log["timestamp"]})
    made = made.filter(pc.is_valid(made["item"]))
    return made.set_column(1, "item", pc.add(made["item"].cast(pa.int64()), offset))


def thirds(logs: Logs) -> list[Logs]:
    """Return the logs of three parts of the users who have events in both, users numbered from 0 in each."""
    both = np.intersect1d(*(log["user"].to_numpy() for log in logs))
    size = len(both) // 3
    both = np.random.default_rng(0).permutation(both)[: 3 * size]
    found = []
    for users in both.reshape(3, size):
        mine = []
        for log in logs:
            code = pc.index_in(log["user"], pa.array(users))
            kept = log.set_column(0, "user", code.cast(pa.int64()))
            mine.append(kept.filter(pc.is_valid(kept["user"])))
        found.append((mine[0], mine[1]))
    return found


def worlds_of(logs: Logs, steps: Steps, worlds: int, candidates: int, items: int) -> list[World]:
    """Release so many worlds of the same users, each without about half of its own candidates."""
    users = 1 + max(int(pc.max(log["user"]).as_py()) for log in logs)
    tables: list[npt.NDArray[np.bool_]] = []
    for log, offset in zip(logs, (0, TARGET_OFFSET), strict=True):
        tables.append(np.zeros((users, items), np.bool_))
        tables[-1][log["user"].to_numpy(), log["item"].to_numpy() - offset] = True
    random = np.random.default_rng(1)
    chosen = random.permutation(users)[: worlds * candidates].reshape(worlds, candidates)
    made = []
    for seed, mine in enumerate(chosen):
        is_in = np.ones(users, np.bool_)
        is_in[mine] = random.random(candidates) < 0.5
        made.append(release(logs, tables[0], tables[1], is_in, mine, steps.model_copy(update={"seed": seed})))
    return made


def _told(found: dict[str, float]) -> tuple[str, str]:
    """Return an advantage and its interval as text; a bound on any attack has none."""
    if "low" not in found:
        return f"≤ {found['value']:.3f}", ""
    return f"{found['value']:.3f}", f"[{found['low']:.3f}, {found['high']:.3f}]"


def main() -> None:
    """Print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of source.parquet and target.parquet")
    parser.add_argument("--items", type=int, default=500, help="most frequent items kept of each log")
    parser.add_argument("--worlds", type=int, default=20, help="worlds to judge on, and as many shadow worlds")
    parser.add_argument("--candidates", type=int, default=50, help="users of a world whose membership is asked")
    parser.add_argument("--figures", type=Path, default=Path("benchmark-output/real-membership.json"))
    options = parser.parse_args()
    read = (pq.read_table(options.data / f"{name}.parquet") for name in ("source", "target"))
    source, target = (
        frequent(log, options.items, offset) for log, offset in zip(read, (0, TARGET_OFFSET), strict=True)
    )
    parts = thirds((source, target))
    users = 1 + max(int(pc.max(log["user"]).as_py()) for log in parts[0])
    if options.worlds * options.candidates > users:
        parser.error(f"{options.worlds} worlds of {options.candidates} candidates: a part has {users} users only")
    settings: list[tuple[str, int, float | None]] = [(name, k, None) for name in TRANSLATORS for k in LEVELS]
    settings += [("cooccurrence", 1, epsilon) for epsilon in EPSILONS if find_spec("opendp")]
    points = []
    for translator, k, epsilon in settings:
        steps, shape = steps_of(translator, k, epsilon=epsilon), (options.worlds, options.candidates, options.items)
        shadows, tuned, judged = (worlds_of(part, steps, *shape) for part in parts)
        found = judged_by(shadows, judged, by_item=translator == "factor", tuned=tuned)
        if epsilon is not None:  # what nobody can do better, whatever they know
            found["everyone"] = {"value": ceiling(steps)}
        points.append({"translator": translator, "k": k, "epsilon": epsilon, **found})
        print(json.dumps(points[-1]), flush=True)
    options.figures.parent.mkdir(parents=True, exist_ok=True)
    facts = {"users_of_a_part": users, "events": [len(one) for part in parts for one in part]}
    options.figures.write_text(json.dumps({**facts, "points": points}, indent=2) + "\n")
    rows = [("", "", "the law", "95 %", "everyone else", "95 %", "rows", "below 3", "below 5")]
    for point in points:
        protection = f"k = {point['k']}" if point["epsilon"] is None else f"ε = {point['epsilon']:g}"
        cells = [cell for one in (point["law"], point["everyone"]) for cell in _told(one)]
        shares = [f"{100 * point['share_below'].get(least, 0):.1f} %" for least in ("3", "5")]
        rows.append((point["translator"], protection, *cells, f"{point['rows']:,}", *shares))
    print(f"{users:,} users in each part; events of source and target: {facts['events']}")
    print(aligned(rows, left=1))


if __name__ == "__main__":
    main()
