"""The best items against sorting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scalr.evaluation.kernels.ranking import top_items


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 30))
def test_top_items_agree_with_sorting(seed, k, n_items):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 5, (4, n_items)).astype(np.float32)  # many ties
    catalogue = np.flatnonzero(random.random(n_items) < 0.7).astype(np.int32)
    seen = [np.flatnonzero(random.random(n_items) < 0.3).astype(np.int32) for _ in range(4)]
    start = np.concatenate([[0], np.cumsum([len(x) for x in seen])])
    found = top_items(scores, catalogue, start, np.concatenate(seen), k)
    for user in range(4):
        allowed = sorted(set(catalogue) - set(seen[user]), key=lambda i: (-scores[user, i], i))[:k]
        assert found[user].tolist() == allowed + [-1] * (k - len(allowed))


def test_items_without_a_number_are_never_chosen():
    scores = np.array([[np.nan, 1.0, -np.inf]], np.float32)
    found = top_items(scores, np.arange(3, dtype=np.int32), np.zeros(2, np.int64), np.empty(0, np.int32), 3)
    assert found.tolist() == [[1, 2, -1]]
