"""The promises that only real logs can test; they skip where the data are not beside the repository."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scalr.engines.generation import generate
from scalr.foundation.config import Steps
from scalr.logs.reading import read_pair
from scalr.logs.schema import Columns
from scalr.studies.events import study

DATA = Path(__file__).parents[3] / "shared" / "data"
PAIRS = {
    "kuairand_t9_t4": "position",
    "amazon_food_kitchen": "timestamp",
    "completejourney_grocery_drug": "timestamp",
    "ciao_c10_c24": "timestamp",
}
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the four pairs of logs in ../shared/data"),
]


@pytest.mark.parametrize("name", PAIRS)
def test_shuffled_rows_give_the_same_events_and_none_is_real(name):
    source, target = (pq.read_table(DATA / name / f"{side}.parquet") for side in ("source", "target"))
    columns = Columns(time=PAIRS[name])
    steps = Steps.parse({"sample": {"draws_per_event": 1}})
    events = generate(source, target, columns=columns, steps=steps, threads=1).table()
    random = np.random.default_rng(0)
    shuffled = (table.take(random.permutation(len(table))) for table in (source, target))
    assert events.equals(generate(*shuffled, columns=columns, steps=steps, threads=2).table())
    real = set(zip(target["user_id"].to_pylist(), target["item_id"].to_pylist(), strict=True))
    assert not real & set(zip(events["user_id"].to_pylist(), events["item_id"].to_pylist(), strict=True))
    assert events.schema.names[: len(target.schema)] == target.schema.names


def test_coupons_keep_their_rate_and_their_columns():
    folder = DATA / "completejourney_grocery_drug"
    steps = Steps.parse(
        {"sample": {"draws_per_event": 1}, "refine": {"max_per_user": 5}, "negatives": {"kind": "rate"}}
    )
    log = pq.read_table(folder / "coupon_exposures.parquet")
    table = generate(folder / "source.parquet", log, items=folder / "coupon_items.parquet", steps=steps).table()
    label, weight = table["label"].to_numpy(), table["weight"].to_numpy().astype(float)
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(np.mean(log["label"].to_numpy()), rel=1e-5)
    of_item = dict(zip(log["item_id"].to_pylist(), log["campaign_type"].to_pylist(), strict=True))
    assert [of_item[item] for item in table["item_id"].to_pylist()] == table["campaign_type"].to_pylist()
    assert table["redeemed_at"].null_count == len(table)


@pytest.mark.slow
def test_kuairand_gains_more_than_five_percent():
    pair = read_pair(
        DATA / "kuairand_t9_t4" / "source.parquet",
        DATA / "kuairand_t9_t4" / "target.parquet",
        columns=Columns(time="position"),
    )
    steps = Steps.parse({"split": {"hide_overlap": 0.5}, "study": {"seeds": 3, "arms": ["scalr"]}})
    changes = study(pair, steps, threads=2).to_json()["comparisons"]
    wanted = {"arm": "scalr", "baseline": "real_only", "segment": "all", "metric": "normalized_entropy"}
    change = next(row for row in changes if wanted.items() <= row.items())
    assert change["relative_change"] < -0.05
    assert change["interval"][1] < 0
