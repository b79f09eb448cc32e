"""Negative rows: they keep the base rate, follow the law of the real negatives, and are the same for any threads."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tests.worlds import small_tables

from scalr.engines.generation import generate_from
from scalr.engines.local import passes as narrowing
from scalr.engines.local.writing import write_events
from scalr.foundation.config import NegativeSettings, Steps
from scalr.foundation.errors import SchemaError
from scalr.foundation.receipts import Receipt
from scalr.logs.event_log import EventLog
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs, read_pair
from scalr.synthesis import negatives
from scalr.synthesis import parts as stream
from scalr.synthesis.events import rows_of
from scalr.synthesis.identity import generation_name
from scalr.synthesis.negatives import NegativeLaw, with_negatives
from scalr.synthesis.sampling import sample
from scalr.synthesis.translators import fit

PLAIN = {"refine": {"align": None}}


def impression_tables(seed: int = 0, rate: float = 0.2) -> tuple[pa.Table, pa.Table]:
    """Return `small_tables` with labels, a column that is a function of the item and one that is not."""
    source, target = small_tables(seed, events=(400, 900))
    random = np.random.default_rng(seed)
    shape = pa.array([["square", "wide", None][item % 3] for item in target["item"].to_pylist()])
    labels = pa.array((random.random(len(target)) < rate).astype(np.int8))
    target = target.append_column("label", labels).append_column("shape", shape)
    return source, target.append_column("slot", pa.array(random.integers(0, 3, len(target)), pa.int16()))


def written(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted((folder / "synthetic").glob("*.parquet"))])


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "synthetic").iterdir()}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts, chunks and steps, so that every seam is crossed."""
    monkeypatch.setattr(stream, "PART_DRAWS", 300)
    monkeypatch.setattr(stream, "BUFFER_ROWS", 64)
    monkeypatch.setattr(narrowing, "COMPARED_ROWS", 500)
    monkeypatch.setattr(negatives, "NEGATIVE_ROWS", 100)


@given(st.floats(0.01, 300.0), st.integers(0, 10_000), st.integers(1, 200))
def test_negatives_of_the_first_k_events_are_k_times_the_rate_rounded(rows: float, first: int, n: int) -> None:
    law = NegativeLaw(np.zeros(1, np.int32), np.ones(1), rows, rows, np.zeros(1, np.int64), np.zeros(0, np.int32), 0)
    counts = law.counts(first, n)
    assert abs(law.counts(0, first + n).sum() - (first + n) * rows) <= 0.5 + 1e-6
    assert counts.max() - counts.min() <= 1
    assert np.array_equal(np.concatenate([law.counts(0, first), counts]), law.counts(0, first + n))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("per_positive", [None, 2, 1])
def test_the_base_rate_is_that_of_the_real_log(per_positive: int | None, tmp_path: Path) -> None:
    source, target = impression_tables()
    stored = read_logs(LogRequest(source, target))
    steps = Steps.parse({**PLAIN, "negatives": {"kind": "rate", "per_positive": per_positive}})
    done = write_events(stored, steps, tmp_path, threads=2)
    table, rate = written(tmp_path), float(np.mean(target["label"].to_numpy()))
    label, weight = table["label"].to_numpy(), table["weight"].to_numpy().astype(np.float64)
    n, parts = int(label.sum()), len(list(stream.part_ranges(stored, steps.sample)))
    assert parts > 3
    assert done.negatives == len(label) - n
    assert len(done.facts) == n
    rows_each = min((1 - rate) / rate, per_positive or np.inf)
    assert abs(done.negatives - n * rows_each) <= 0.5 * parts  # each part rounds once
    weighed = weight[label == 0].sum() * rate / ((1 - rate) * weight[label == 1].sum())
    assert weighed == pytest.approx(1.0, abs=0.5 * parts / (n * rows_each) + 1e-6)
    stage = next(receipt for receipt in done.receipts if receipt.stage == "negatives")
    assert (stage.rows_in, stage.rows_out) == (n, len(label))
    assert stage.details["base_rate"] == pytest.approx(rate)


def test_weights_of_the_log_count_in_its_base_rate() -> None:
    source, target = impression_tables()
    heavy = target.append_column("weight", pa.array(1.0 + 2.0 * target["label"].to_numpy()))
    law = NegativeLaw.from_log(read_pair(source, heavy).target, NegativeSettings(per_positive=None), 0)
    positives = int(target["label"].to_numpy().sum())
    assert law.base_rate == pytest.approx(3 * positives / (3 * positives + len(target) - positives))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("layout", ["target", "compact"])
@pytest.mark.parametrize("per_positive", [None, 3])
def test_files_are_the_same_for_any_threads_and_those_in_memory(
    layout: str, per_positive: int | None, tmp_path: Path
) -> None:
    stored = read_logs(LogRequest(*impression_tables(), item_columns=True))
    steps = Steps.parse({"seed": 3, "negatives": {"kind": "rate", "per_positive": per_positive}})
    for threads in (1, 3):
        (tmp_path / str(threads)).mkdir()
        write_events(stored, steps, tmp_path / str(threads), layout=layout, threads=threads)
    assert digests(tmp_path / "1") == digests(tmp_path / "3")
    wanted = generate_from(stored, steps, Receipt("read", 0, 0)).table(layout)
    found = written(tmp_path / "1")
    assert found.schema.types == wanted.schema.types
    assert found.to_pydict() == wanted.to_pydict()


def test_rows_follow_their_event_and_columns_of_the_item_are_joined(tmp_path: Path) -> None:
    source, target = impression_tables()
    items = pa.table({"item": range(100, 112), "brand": [f"brand {i}" for i in range(12)]})
    target = target.append_column("brand", pa.array(["of the log"] * len(target)))
    stored = read_logs(LogRequest(source, target, items=items, item_columns=True))
    write_events(stored, Steps.parse({**PLAIN, "negatives": {"kind": "rate"}}), tmp_path)
    rows = written(tmp_path).to_pylist()
    of_item = {row["item"]: row["shape"] for row in target.to_pylist()}
    assert {row["slot"] for row in rows} == {None}
    assert all(row["shape"] == of_item[row["item"]] for row in rows)
    assert all(row["brand"] == f"brand {row['item'] - 100}" for row in rows)
    assert len({row["shape"] for row in rows}) == 3
    positive = None
    for row in rows:
        if row["label"] == 1:
            positive = row
            continue
        assert positive is not None
        same = ("user", "time", "source_item", "source_event", "draw")
        assert all(row[name] == positive[name] for name in same)
        assert (row["confidence"], row["support"]) == (0, 0)
        assert row["item"] != positive["item"]


def test_without_negatives_nothing_is_joined_from_the_log(tmp_path: Path) -> None:
    stored = read_logs(LogRequest(*impression_tables()))
    write_events(stored, Steps.parse(PLAIN), tmp_path)
    table = written(tmp_path)
    assert table["shape"].null_count == len(table)
    assert set(table["label"].to_pylist()) == {1}


def test_negatives_follow_the_law_of_the_real_ones() -> None:
    """Chi-square of item counts against the exact law: shares of the real negatives, contradictions left out.

    Counts of a user's rows are multinomial with a law of the user's own, so the exact mean and variance of each item's
    total are sums over rows; the largest standardised difference of 12 is held to 4.5 (a false alarm in 1e-4).
    """
    pair = read_pair(*impression_tables(seed=5))
    law = NegativeLaw.from_log(pair.target, NegativeSettings(per_positive=None), seed=8)
    rows = rows_of(sample(fit(pair), seed=1))
    done = list(with_negatives(rows, law))
    user, item, label = (np.concatenate([getattr(one, name) for one in done]) for name in ("user", "item", "label"))
    own = item[label == 1][np.cumsum(label) - 1][label == 0]
    user, item = user[label == 0], item[label == 0]
    target, n_items = pair.target, len(pair.target.items)
    shares = np.bincount(target.item[target.label == 0], minlength=n_items) / (target.label == 0).sum()
    contradicts = np.zeros((len(target.users), n_items), bool)
    contradicts[target.user[target.label == 1], target.item[target.label == 1]] = True
    chance = np.where(contradicts[user], 0.0, shares)
    chance[np.arange(len(user)), own] = 0.0
    chance /= chance.sum(axis=1, keepdims=True)
    assert not contradicts[user, item].any()
    assert (item != own).all()
    mean, variance = chance.sum(axis=0), (chance * (1 - chance)).sum(axis=0)
    z = (np.bincount(item, minlength=n_items) - mean) / np.sqrt(variance)
    assert len(user) > 5000
    assert np.abs(z).max() < 4.5
    wrong = np.full(n_items, 1 / n_items) * len(user)  # the test can tell a uniform law from this one
    assert stats.chisquare(np.bincount(item, minlength=n_items), wrong).pvalue < 1e-6


def test_a_user_with_a_positive_of_everything_gets_negatives_all_the_same() -> None:
    log = read_pair(
        pa.table({"user": [1, 1, 2], "item": [7, 8, 7], "time": [1, 2, 3]}),
        pa.table({"user": [1, 1, 2, 2], "item": [1, 2, 1, 2], "label": [1, 1, 0, 1], "time": [1, 2, 3, 4]}),
    ).target
    law = NegativeLaw.from_log(log, NegativeSettings(), 0)
    assert law.draw(log.user[:1], log.item[1:2], np.ones(1, np.uint64)) in log.item


@pytest.mark.parametrize("label", [None, 0, 1])
def test_a_log_without_both_labels_is_refused(label: int | None) -> None:
    source, target = small_tables()
    log: EventLog = read_pair(source, target).target
    if label is not None:
        log = read_pair(*impression_tables()).target
        log = log.take(log.label == label)
    with pytest.raises(SchemaError, match="label"):
        NegativeLaw.from_log(log, NegativeSettings(), 0)


def test_the_generation_id_changes_with_negatives_only_where_they_are_on() -> None:
    stored = read_logs(LogRequest(*impression_tables()))
    ids = [
        generation_name(stored, Steps.parse({"negatives": one}))
        for one in ({}, {"per_positive": 3}, {"kind": "rate"}, {"kind": "rate", "per_positive": 3})
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
