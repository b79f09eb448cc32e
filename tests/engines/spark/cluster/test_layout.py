"""How large parts get: with the settings and the target's users, not with the source log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engines.spark.worlds import as_spark, skewed_tables

from scalr.engines.spark.cluster.broadcast import broadcast_value
from scalr.engines.spark.cluster.layout import cut_source, lay_out_parts
from scalr.engines.spark.fitting.fitting import histories_of
from scalr.engines.spark.reading.logs import read_spark_logs
from scalr.foundation.config import Steps
from scalr.logs.log_request import LogRequest

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


@pytest.mark.parametrize("times", [1, 4])
def test_parts_of_a_skewed_log_do_not_grow_with_it(session: Any, times: int) -> None:
    source, target = skewed_tables(users=2_000, events=(8_000 * times, 1_000))
    logs = read_spark_logs(LogRequest(as_spark(session, source), target), Steps())
    has_targets = np.diff(histories_of(logs.pair, Steps().translate).start) > 0
    layout = cut_source(logs.events, logs.rows, int(has_targets.sum()), partitions=10 * times)
    users = broadcast_value(session.sparkContext, (logs.pair.target.users, has_targets))
    laid = lay_out_parts(logs.events, logs.form, layout, users, windowed=False)
    rows = [row["count"] for row in laid.groupBy("part").count().collect()]
    assert layout.part_events == 800
    assert len(layout.hot) == 1
    assert layout.hot[0].events > 1_400 * times
    assert layout.most_rows(int(has_targets.sum())) == 1_600
    assert 800 < max(rows) <= 1_600
    assert sum(rows) > len(source), "the parts of the split item hold copied events"
