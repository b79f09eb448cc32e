import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation.kernels.lookup import pairs_in_log

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=30)


@given(PAIRS, PAIRS)
def test_pairs_are_found_as_a_set_finds_them(log, asked):
    log = sorted(log)
    start = np.searchsorted([user for user, _ in log], np.arange(6)).astype(np.int64)
    items = np.array([item for _, item in log], np.int32)
    user, item = (np.array([pair[place] for pair in asked], np.int32) for place in (0, 1))
    assert pairs_in_log(user, item, start, items).tolist() == [pair in set(log) for pair in asked]
