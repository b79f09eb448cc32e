"""The promises that only real logs can test; they skip where the data are not beside the repository."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scalr.config import Steps
from scalr.pipeline import generate
from scalr.reading import read_pair
from scalr.schema import Columns
from scalr.study import study

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
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
