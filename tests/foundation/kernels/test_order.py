"""Ordering against NumPy's lexsort, and the small values that live beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation.kernels import order
from scalr.logs.ordering import Coded, arrange, pack_times

SECOND = 1_000_000


@st.composite
def logs(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Few groups and members, so that ties are many; times of seconds, of any microsecond, or too far apart to pack."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.integers(0, 60))
    spread, step = draw(st.sampled_from([(5, SECOND), (5, 1), (2**50, 977), (3, 86_400 * SECOND)]))
    return {
        "group": random.integers(0, 5, n).astype(np.int32),
        "member": random.integers(0, 4, n).astype(np.int32),
        "time": random.integers(-spread, spread, n) * step,
        "value": random.choice([1.0, 2.0, np.nan], n),
        "weight": random.integers(0, 3, n).astype(np.float32),
    }


@given(logs(), st.booleans(), st.sampled_from([(), ("value",), ("value", "weight")]), st.integers(1, 3))
def test_events_come_in_the_order_of_lexsort(log, timed, extra, threads):
    rows = {name: log[name] for name in extra}
    codes = (
        np.random.default_rng(1).permutation(5).astype(np.int32),
        np.random.default_rng(2).permutation(4).astype(np.int32),
    )
    group, member = codes[0][log["group"]], codes[1][log["member"]]
    time = log["time"] if timed else None
    done = arrange(
        Coded(log["group"].copy(), codes[0]), Coded(log["member"].copy(), codes[1]), 5,
        time=None if time is None else pack_times(time), columns=rows, threads=threads,
    )  # fmt: skip
    wanted = np.lexsort([*reversed(list(rows.values())), *([time] if timed else []), member, group])
    np.testing.assert_array_equal(order.group_numbers(done.start, 0), group[wanted])
    np.testing.assert_array_equal(done.member, member[wanted])
    if timed:
        np.testing.assert_array_equal(done.time[: len(wanted)], time[wanted])
    for name, column in rows.items():
        np.testing.assert_array_equal(done.columns[name], column[wanted])


@given(st.lists(st.integers(-(2**62), 2**62), max_size=30), st.sampled_from([1, 1000, SECOND]))
def test_packed_times_come_back(times, step):
    given_times = np.array(times, np.int64) // step * step
    packed = pack_times(given_times)
    if isinstance(packed, np.ndarray):
        assert packed is given_times
        assert given_times.max() - given_times.min() >= 2**32 * step
        return
    np.testing.assert_array_equal(packed[: len(packed)], given_times)
    assert packed.numbers.itemsize == 4


@pytest.mark.parametrize("n_parts", [1, 2, 7])
def test_parts_cover_all_groups_in_order(n_parts):
    start = np.concatenate([[0], np.cumsum(np.random.default_rng(n_parts).integers(0, 9, 20))])
    bounds = order.split_evenly(start, n_parts)
    assert bounds[0] == 0
    assert bounds[-1] == 20
    assert (np.diff(bounds) >= 0).all()
    assert len(bounds) == n_parts + 1
