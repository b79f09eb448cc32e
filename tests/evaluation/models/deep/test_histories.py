"""A row's history is the items strictly before it, by a plain rewrite."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.evaluation.models.deep.histories import Histories
from scalr.evaluation.models.protocol import Examples


def examples(user, item, time, is_synthetic) -> Examples:
    n = len(user)
    return Examples(
        user=np.array(user, np.int32),
        item=np.array(item, np.int32),
        weight=np.ones(n, np.float32),
        is_synthetic=np.array(is_synthetic, np.bool_),
        n_first=n,
        catalogue=np.arange(50, dtype=np.int32),
        user_keys=np.arange(4, dtype=np.uint64),
        item_keys=np.arange(50, dtype=np.uint64),
        fitted_until=None,
        fitted_on=0,
        time=None if time is None else np.array(time, np.int64),
    )


row = st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans())


@given(st.lists(row, max_size=40), st.integers(1, 6))
def test_histories_are_what_a_plain_loop_finds(rows, length):
    user, time, synthetic = ([one[x] for one in rows] for x in range(3))
    told = examples(user, range(len(rows)), time, synthetic)
    histories = Histories.from_examples(told, length, 0)

    def expected(of: int, before: int) -> list[int]:
        real = [x for x, one in enumerate(user) if one == of and not synthetic[x]]
        told = real or [x for x, one in enumerate(user) if one == of]
        items = [x + 1 for x in sorted(told, key=lambda x: time[x]) if time[x] < before][-length:]
        return items + [0] * (length - len(items))

    found = histories.ahead_of(np.arange(len(rows)), told.user)
    assert found.tolist() == [expected(of, at) for of, at in zip(user, time, strict=True)]
    assert histories.latest(np.arange(4, dtype=np.int32)).tolist() == [expected(of, 99) for of in range(4)]


def test_later_rows_change_no_history():
    user, time = [0, 0, 0, 1], [1, 2, 3, 2]
    told = examples(user, [5, 6, 7, 8], time, [False] * 4)
    other = replace(told, item=np.array([5, 6, 49, 8], np.int32))
    one, two = (Histories.from_examples(rows, 3, 0).ahead_of(np.arange(4), told.user) for rows in (told, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("seed", [0, 1])
def test_without_time_no_row_sees_itself(seed):
    told = examples([0] * 30, range(30), None, [False] * 30)
    found = Histories.from_examples(told, 40, seed).ahead_of(np.arange(30), told.user)
    lengths = (found > 0).sum(axis=1)
    assert sorted(lengths.tolist()) == list(range(30))
    assert not (found == np.arange(1, 31)[:, None]).any()
