"""Ranking metrics, worked by hand."""

from math import log2

import numpy as np
import pytest

from scalr.evaluation.metrics.ranking import item_coverage, ndcg, recall

HITS = np.array([[True, False, True], [False, False, False], [True, True, True], [False, True, False]])
RELEVANT = np.array([2, 1, 5, 4])


def test_recall_by_hand():
    assert recall(HITS, RELEVANT).tolist() == [2 / 2, 0 / 1, 3 / 5, 1 / 4]


def test_ndcg_by_hand():
    first, second, third = 1 / log2(2), 1 / log2(3), 1 / log2(4)  # gains of the places 1, 2, 3
    expected = [
        (first + third) / (first + second),  # two relevant items: the best list has them at 1 and 2
        0.0,
        1.0,  # five relevant items fill a list of three
        second / (first + second + third),
    ]
    assert ndcg(HITS, RELEVANT) == pytest.approx(expected, rel=1e-14)


def test_item_coverage_counts_distinct_items_and_no_empty_places():
    assert item_coverage(np.array([[4, 2, -1], [2, 7, 4]], np.int32), 10) == 3 / 10
