"""With `privacy.k` nothing rests on fewer other users, whatever else is set: held to raw logs, counted one by one."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats
from tests.worlds import small_tables

from scalr.engines.generation import generate
from scalr.engines.local.writing import write_events
from scalr.foundation.config import SampleSettings, Steps, TranslateSettings
from scalr.foundation.memory import Room
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs, read_pair
from scalr.synthesis import parts as stream
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit, translator_names

DAY = 86_400
PAIRWISE = ("cooccurrence", "conditioned", "factor")
CONTROLS = tuple(name for name in translator_names() if name not in PAIRWISE)
VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "plain": {},
    "repeated draws": {"sample": {"draws_per_event": 9}},
    "temperature": {"sample": {"temperature": 0.6, "min_support": 2}},
    "flat": {"sample": {"temperature": 3.0}},
    "topk": {"sample": {"strategy": "topk", "draws_per_event": 6}},
    "capped": {"translate": {"history_cap": 3}},
    "window": {"translate": {"window_days": 12}},
    "back-off": {"translate": {"backoff": 40}},
    "back-off, topk": {"translate": {"backoff": 40}, "sample": {"strategy": "topk", "draws_per_event": 6}},
    "back-off, all": {"translate": {"backoff": 7, "history_cap": 4, "window_days": 15}, "sample": {"temperature": 0.5}},
    "refined": {"refine": {"duplicates": "merge", "max_per_user": 3, "align": {"by": ["popularity"], "buckets": 4}}},
}
ITEMS = pa.table({"item": list(range(8)), "category": ["a", "a", "a", "b", "b", None, "c", "c"]})


def latest(table: pa.Table, cap: int | None) -> dict[object, set[object]]:
    """Return the items of every user, all or the `cap` latest by their last event."""
    last: dict[object, dict[object, int]] = defaultdict(dict)
    for user, item, time in zip(*(table[name].to_pylist() for name in ("user", "item", "time")), strict=True):
        last[user][item] = max(time, last[user].get(item, time))
    if cap is None:
        return {user: set(items) for user, items in last.items()}
    return {u: set(sorted(items, key=lambda i: -items[i])[:cap]) for u, items in last.items()}


def users_behind(source: pa.Table, target: pa.Table, cap: int | None, days: float | None) -> dict[object, set[object]]:
    """Return the users behind every (source item, target item), by a loop over events."""
    mine, theirs = latest(source, cap), latest(target, cap)
    after = defaultdict(list)
    for user, item, time in zip(*(target[name].to_pylist() for name in ("user", "item", "time")), strict=True):
        if item in theirs[user]:
            after[user].append((item, time))
    found = defaultdict(set)
    for user, item, time in zip(*(source[name].to_pylist() for name in ("user", "item", "time")), strict=True):
        if item in mine[user]:
            for target_item, then in after[user]:
                if days is None or 0 <= then - time <= days * DAY:
                    found[item, target_item].add(user)
    return found


def steps_of(translator: str, variant: str, k: int, seed: int = 3) -> Steps:
    given = VARIANTS[variant]
    translate = {"translator": translator, "rank": 8, "privacy": {"k": k}, **given.get("translate", {})}
    return Steps.parse({"seed": seed, "refine": {"align": None}, **given, "translate": translate})


def check(table: pa.Table, source: pa.Table, target: pa.Table, steps: Steps) -> None:
    """Hold every row to the raw logs."""
    chosen = steps.translate
    days = None if chosen.translator == "factor" else chosen.window_days
    behind = users_behind(source, target, chosen.history_cap, days)
    owners, active = defaultdict(set), set(source["user"].to_pylist())
    for user, items in latest(target, None if chosen.translator == "random" else chosen.history_cap).items():
        for item in items:
            owners[item].add(user)
    for row in table.select(["user", "item", "source_item", "support", "confidence"]).to_pylist():
        users = owners[row["item"]]
        if chosen.translator in PAIRWISE:
            users = behind[row["source_item"], row["item"]]
        assert len(users - {row["user"]}) >= chosen.privacy.k
        if chosen.translator == "factor":  # says how many have the item, and active in the source they are
            users = {user for user in owners[row["item"]] if user in active}
        assert row["support"] == len(users - {row["user"]}) >= chosen.privacy.k
        assert row["confidence"] > 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("translator", translator_names())
def test_nothing_below_k_is_written(translator: str, variant: str) -> None:
    n_rows = {}
    for k in (2, 4):
        source, target = small_tables(seed=k, events=(500, 500))
        steps = steps_of(translator, variant, k)
        table = generate(source, target, items=ITEMS, steps=steps, threads=1).table()
        check(table, source, target, steps)
        n_rows[k] = len(table)
    assert n_rows[2] > 0


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10_000), st.sampled_from(PAIRWISE), st.sampled_from(sorted(VARIANTS)), st.integers(2, 6),
    st.integers(8, 40), st.integers(2, 12),
)  # fmt: skip
def test_nothing_below_k_in_random_worlds(seed, translator, variant, k, users, items):
    source, target = small_tables(seed, users, max(items // 2, 1), items, events=(8 * users, 8 * users))
    steps = steps_of(translator, variant, k, seed)
    check(generate(source, target, items=ITEMS, steps=steps, threads=1).table(), source, target, steps)


def test_events_count_once_and_the_own_user_never():
    """Three users behind (1, 101); one of them a hundred times. For each of them there are two others."""
    often = 100
    source = pa.table({"user": [0] * often + [1, 2, 3], "item": [1] * (often + 3), "time": [0] * (often + 3)})
    target = pa.table({"user": [0] * often + [1, 2], "item": [101] * (often + 2), "time": [1] * (often + 2)})
    found = {}
    for k in (1, 2, 3, 4):
        translation = fit(read_pair(source, target), settings=TranslateSettings(privacy={"k": k}))
        events = sample(translation, SampleSettings(draws_per_event=1), threads=1)
        users = events.pair.target.users.ids.to_pylist()
        found[k] = {users[user] for user in events.user}
        assert set(events.support) <= {2, 3}
    assert found == {1: {0, 1, 2, 3}, 2: {0, 1, 2, 3}, 3: {3}, 4: set()}


@pytest.mark.parametrize("layout", ["target", "compact"])
@pytest.mark.parametrize("variant", ["plain", "back-off, all", "refined"])
@pytest.mark.parametrize("translator", PAIRWISE)
def test_threads_files_and_memory_change_nothing(
    translator: str, variant: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PART_DRAWS", 300)
    monkeypatch.setattr(stream, "BUFFER_ROWS", 64)
    source, target = small_tables(seed=6, events=(500, 500))
    steps = steps_of(translator, variant, 3)
    wanted = generate(source, target, items=ITEMS, steps=steps, threads=1).table(layout)
    for name, threads, room in (
        ("one", 1, None), ("three", 3, None), ("files", 2, Room(memory_limit=1, folder=tmp_path / ".events")),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        stored = read_logs(LogRequest(source, target, items=ITEMS), room=room)
        done = write_events(stored, steps, tmp_path / name, layout=layout, threads=threads)
        parts = sorted((tmp_path / name / "synthetic").glob("part-*.parquet"))
        table = pa.concat_tables([pq.read_table(part) for part in parts])
        assert table.to_pydict() == wanted.to_pydict()
        assert min(table["support"].to_pylist()) >= 3
        assert done.privacy["k"] == 3
        assert done.privacy["share_below"]["3"] == 0.0
        below = np.mean(np.array(table["support"]) < 5)
        assert done.privacy["share_below"]["5"] == pytest.approx(below)


def test_factor_draws_by_score_among_what_others_have_too():
    """Draws of one event follow the scores of the items of its user's list that enough others have."""
    source, target = small_tables(seed=6, events=(500, 500))
    pair = read_pair(source, target)
    free, bound = (fit(pair, settings=TranslateSettings(translator="factor", rank=8, privacy={"k": k})) for k in (1, 4))
    events = sample(bound, SampleSettings(draws_per_event=400), seed=1, threads=1)
    behind, ids = users_behind(source, target, None, None), pair.target.items.ids.to_pylist()
    statistic, degrees = 0.0, 0
    for row in np.unique(events.source_row)[:60]:
        user, j = pair.source.user[row], pair.source.items.ids[int(pair.source.item[row])].as_py()
        listed = free.lists.item[free.lists.of_user[user]]
        score = free.lists.score[free.lists.of_user[user]]
        me = pair.target.users.ids[int(user)].as_py()
        enough = [i >= 0 and len(behind[j, ids[i]] - {me}) >= 4 for i in listed]
        expected = np.where(enough, score, 0.0)
        seen = np.array([np.sum(events.item[events.source_row == row] == i) for i in listed])
        expected = expected / expected.sum() * seen.sum()
        assert seen[expected == 0].sum() == 0
        kept = expected > 5
        statistic += ((seen - expected)[kept] ** 2 / expected[kept]).sum()
        degrees += kept.sum() - 1
    assert degrees > 50
    assert stats.chi2.sf(statistic, degrees) > 1e-4


@pytest.mark.parametrize("translator", [*PAIRWISE, *CONTROLS])
def test_probability_says_nothing_of_pairs_below_k(translator):
    source, target = small_tables(seed=6, users=12, events=(60, 60))
    pair = read_pair(source, target)
    n_items, behind = len(pair.target.items), users_behind(source, target, None, None)
    settings = {"translator": translator, "rank": 8}
    free, bound = (fit(pair, settings=TranslateSettings(**settings, privacy={"k": k})) for k in (1, 2))
    ids = pair.target.items.ids.to_pylist()
    for user in range(len(pair.target.users)):
        asked = np.full(n_items, user, np.int32), np.arange(n_items, dtype=np.int32)
        me = pair.target.users.ids[user].as_py()
        mine = {row["item"] for row in source.to_pylist() if row["user"] == me}
        known, told = free.probability(*asked), bound.probability(*asked)
        assert (told <= known + 1e-12).all()
        if translator in PAIRWISE:
            for item in range(n_items):
                if all(len(behind[j, ids[item]] - {me}) < 2 for j in mine):
                    assert told[item] == 0.0


def test_a_bound_on_histories_always_holds(monkeypatch):
    """Nobody contributes more than the bound: with a bound of 2 the events are those of a cap of 2."""
    from scalr.synthesis.translators import cooccurrence

    source, target = small_tables(seed=6)
    capped = generate(source, target, steps=Steps.parse({"translate": {"history_cap": 2}})).table()
    free = generate(source, target).table()
    monkeypatch.setattr(cooccurrence, "HISTORY_BOUND", 2)
    bound = generate(source, target).table()
    columns = ["user", "item", "confidence", "support"]
    assert bound.select(columns).to_pydict() == capped.select(columns).to_pydict()
    assert bound.select(columns).to_pydict() != free.select(columns).to_pydict()
