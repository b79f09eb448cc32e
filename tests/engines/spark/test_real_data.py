"""Spark's events are the local engine's on real logs; the tests skip where the data are not beside the repository."""

from __future__ import annotations

from typing import Any

import pytest
from tests.contracts.test_real_data import DATA, PAIRS
from tests.engines.spark.worlds import events_of, local_events

from scalr.engines.spark.generation import generate_on_spark
from scalr.foundation.config import Steps
from scalr.logs.schema import Columns

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the pairs of logs in ../shared/data"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
]

CASES: dict[str, dict[str, Any]] = {
    "amazon_food_kitchen": {"sample": {"draws_per_event": 2}, "refine": {"align": {"by": ["popularity", "time"]}}},
    "kuairand_t9_t4": {"sample": {"draws_per_event": 1}, "refine": {"align": None}},
}


@pytest.mark.parametrize("name", CASES)
def test_real_logs_give_the_same_events(session: Any, name: str) -> None:
    files = [str(DATA / name / f"{side}.parquet") for side in ("source", "target")]
    steps, columns = Steps.parse({"seed": 8, **CASES[name]}), Columns(time=PAIRS[name])
    wanted, generation = local_events(*files, steps, columns=columns)
    made = generate_on_spark(session.read.parquet(files[0]), files[1], columns=columns, steps=steps, partitions=5)
    assert made.generation_id == generation
    found = events_of(made)
    assert len(found) == len(wanted) > 50_000
    assert found.cast(wanted.schema).equals(wanted)
