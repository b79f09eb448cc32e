"""Columns that give synthetic rows away: planted ones are found, and where there are none nothing is found."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scalr.evaluation.metrics.predictive import auc
from scalr.foundation.errors import SchemaError
from scalr.logs.schema import Columns
from scalr.synthesis.checks import detection as leaks
from scalr.synthesis.checks.column_signs import signs_of
from scalr.synthesis.checks.detection import drop_columns, find_leaks
from scalr.synthesis.checks.separation import clustered_auc

pytest.importorskip("lightgbm", reason="the classifier needs the extra 'models'")
COLUMNS = Columns(user="user", item="item", time="time", value="price")


def log(seed: int, rows: int = 4000, users: int = 300) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "user": random.integers(0, users, rows),
            "item": random.integers(0, 50, rows),
            "time": pa.array(random.integers(0, 10**9, rows) * 1_000_000, pa.timestamp("us")),
            "price": np.round(random.gamma(2, 10, rows), 2),
            "device": random.choice(["phone", "tablet", "desktop"], rows),
        }
    )


def changed(table: pa.Table, **columns) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    return table


PLANTED = {
    "nulls": {"device": pa.nulls(4000, pa.string())},
    "values": {"device": pa.array(["phone"] * 4000)},
    "fineness": {"price": pa.array(np.random.default_rng(7).gamma(2, 10, 4000))},
}


@pytest.mark.parametrize("sign", PLANTED)
def test_a_planted_leak_is_found_named_and_gone_once_dropped(sign):
    (name, _), *_ = PLANTED[sign].items()
    found = find_leaks(log(1), changed(log(2), **PLANTED[sign]), COLUMNS)
    assert found.droppable == (name,)
    assert found.columns[0].name == name
    assert found.columns[0].sign == sign
    assert found.before.low > 0.7
    assert found.after is not None
    assert found.after.auc == pytest.approx(0.5, abs=0.03)
    assert any(f"'{name}'" in sentence for sentence in found.sentences())


def test_a_leak_of_a_column_that_is_needed_is_reported_and_stays():
    coarse = pa.array(np.random.default_rng(3).integers(0, 11_000, 4000) * 86_400_000_000, pa.timestamp("us"))
    found = find_leaks(log(1), changed(log(2), time=coarse), COLUMNS)
    (time,) = [one for one in found.columns if one.name == "time"]
    assert (time.is_leaky, time.is_needed, time.sign) == (True, True, "fineness")
    assert found.droppable == ()
    assert found.after is None


def test_rows_resampled_from_the_real_ones_cannot_be_told():
    """20 null worlds; an interval above 0.5 is a false alarm of 2.5 %: more than 3 of 20 has a chance below 0.2 %."""
    alarms, leaky = 0, 0
    for seed in range(20):
        whole = log(seed, rows=2400)
        rows = np.random.default_rng(seed + 100).permutation(2400)
        found = find_leaks(whole.take(rows[:1200]), whole.take(rows[1200:]), COLUMNS, seed=seed)
        alarms += found.before.low > 0.5
        leaky += any(one.is_leaky for one in found.columns)
    assert alarms <= 3
    assert leaky == 0


def test_what_tells_by_definition_is_not_looked_at():
    real = log(1)
    synthetic = log(2).append_column("is_synthetic", pa.array([True] * 4000))
    real = real.append_column("is_synthetic", pa.array([False] * 4000))
    found = find_leaks(real, synthetic, COLUMNS)
    assert {one.name for one in found.columns} == {"time", "price", "device"}


def test_only_positive_real_rows_are_compared():
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 4000)
    device = np.where(label == 1, "phone", "desktop")
    real = changed(log(1), device=pa.array(device)).append_column("label", pa.array(label))
    synthetic = changed(log(2), device=pa.array(["phone"] * 4000)).append_column("label", pa.array(np.ones(4000, int)))
    found = find_leaks(real, synthetic, Columns(**{**dict(COLUMNS.roles()), "label": "label"}))
    assert found.rows["real"] == label.sum()
    assert not any(one.is_leaky for one in found.columns)


def test_large_logs_are_sampled_by_user_whatever_the_order_of_rows():
    whole, other = log(1), log(2)
    shuffled = whole.take(np.random.default_rng(0).permutation(len(whole)))
    one, two = (find_leaks(real, other, COLUMNS, most_rows=2000) for real in (whole, shuffled))
    assert one.rows == two.rows
    assert 700 < one.rows["real"] < 1300
    assert [c.separation for c in one.columns] == [c.separation for c in two.columns]


def test_the_logistic_classifier_finds_it_as_well(monkeypatch):
    pytest.importorskip("sklearn", reason="the logistic classifier needs scikit-learn")
    monkeypatch.setattr(leaks, "find_spec", lambda name: None)
    found = find_leaks(log(1), changed(log(2), **PLANTED["nulls"]), COLUMNS)
    assert found.classifier == "logistic"
    assert found.before.low > 0.95
    assert found.after is not None
    assert found.after.auc == pytest.approx(0.5, abs=0.03)


def test_a_log_without_the_user_column_is_refused():
    with pytest.raises(SchemaError, match="has no column 'user'"):
        find_leaks(log(1).drop_columns(["user"]), log(2), COLUMNS)


def test_files_without_columns_hold_the_same_rows(tmp_path):
    file = tmp_path / "part.parquet"
    pq.write_table(log(1), file, row_group_size=1000)
    digests = drop_columns([file], ["device"])
    assert pq.read_table(file).equals(log(1).drop_columns(["device"]))
    assert list(digests) == [file]
    assert list(tmp_path.iterdir()) == [file]


def test_the_area_is_that_of_the_plain_formula_and_its_interval_widens_with_clusters():
    random = np.random.default_rng(0)
    is_one, score = random.random(2000) < 0.4, random.normal(size=2000).round(1)
    alone = clustered_auc(is_one, score, np.arange(2000))
    assert alone.auc == pytest.approx(auc(is_one.astype(np.int8), score))
    fivefold = [np.repeat(part, 5) for part in (is_one, score, np.arange(2000))]
    assert clustered_auc(*fivefold).high - alone.auc == pytest.approx(alone.high - alone.auc, rel=1e-6)


def test_the_interval_of_the_area_covers_the_truth():
    """400 worlds with users who differ: a 95 % interval misses 8 % of them with a chance below 1 %."""
    missed = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        cluster = np.repeat(np.arange(60), 8)
        score = random.normal(size=480) + random.normal(size=60)[cluster]
        is_one = random.random(480) < 0.5
        found = clustered_auc(is_one, score, cluster)
        missed += not found.low <= 0.5 <= found.high
    assert missed <= 32


@pytest.mark.parametrize(
    ("values", "forms"),
    [
        (pa.array([1, 10, 1200, None, 0]), [1, 2, 3, 0, 1]),
        (pa.array([1.0, 1.5, 1.25, None, float("nan")]), [1, 2, 3, 0, 0]),
        (pa.array([0, 3_600_000_000, 1_000_000, 1, None], pa.timestamp("us")), [1, 2, 4, 6, 0]),
        (pa.array(["a", None, "b", "b", ""]), [1, 0, 1, 1, 1]),
        (pa.array([[1], None, [], [2], [3]]), [1, 0, 1, 1, 1]),
        (pa.nulls(5), [0, 0, 0, 0, 0]),
    ],
)
def test_forms_of_values(values, forms):
    assert signs_of(pa.chunked_array([values])).form.tolist() == forms
